import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { root, textOf } from '../support/imports.ts';
import { chart, helm, type KubernetesObject, pick, render, withoutHelm, withValues } from './helm.ts';

const options = { skip: withoutHelm ?? false };

const account = { name: 'ops', push: '*', passwords: [{ secretFile: '/secrets/accounts/ops' }] };
const config = { tokens: [account] };
const accounts = { passwords: { ops: 'a password of ops' } };
const plain = { httpEnabled: true, config, accounts };
const everything = {
  config: {
    ...config,
    mode: 'ReadOnly',
    parent: { url: 'https://registry.example.com', username: 'line-1' },
    repositories: ['line/*'],
  },
  compact: true,
  accounts,
  parent: {
    password: 'a password of the parent',
    ca: '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----',
  },
  'cert-manager': { enabled: true },
  registryLoginServer: 'registry.line-1.example:5000',
  service: { clusterIP: '10.43.0.50', port: 5000 },
  operate: { enabled: true },
  ingress: { enabled: true, host: 'registry.example', className: 'nginx' },
  httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }] },
  monitoring: {
    serviceMonitor: { enabled: true },
    rules: { enabled: true },
    dashboard: { enabled: true },
  },
  networkPolicy: { enabled: true, egress: [{ ports: [{ port: 443 }] }] },
  podAnnotations: { reason: 'a test' },
  env: [{ name: 'NO_PROXY', value: '.example' }],
};
/** As `az k8s-extension create` sets them in Azure's own documents. */
const arc = {
  connectionString:
    'ConnectedRegistryName=line-1;SyncTokenName=sync;SyncTokenPassword=abc;ParentGatewayEndpoint=contoso.westeurope.data.azurecr.io;ParentEndpointProtocol=https',
  service: { clusterIP: '192.100.100.1' },
  pvc: { storageClassName: 'standard', storageRequest: '250Gi' },
  'cert-manager': { enabled: true, install: false },
  trustDistribution: { enabled: false, useNodeSelector: false },
};

function documentOf(objects: KubernetesObject[]) {
  const text = pick(objects, 'ConfigMap', 'line-1-terrace').data?.['terrace.yaml'] ?? '';
  const resolved = resolveDocument({ text, folder: '/etc/terrace', overrides: {}, readable: () => true });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved;
}

const podOf = (objects: KubernetesObject[]) => pick(objects, 'StatefulSet').spec.template.spec;

/** What helm says when it refuses the values. */
async function complaint(values: object): Promise<string> {
  try {
    await render(values);
  } catch (error) {
    return (error as Error & { stderr: string }).stderr;
  }
  return assert.fail(`accepted: ${JSON.stringify(values)}`);
}

test('the chart has no fault that helm knows, whatever is switched on', options, async () => {
  for (const values of [plain, everything, arc]) {
    await withValues(values, async (parameters) => {
      await helm(['lint', '--strict', chart, ...parameters]);
    });
  }
});

test('chart and application have the version of the package', options, () => {
  const { version } = JSON.parse(textOf('package.json'));
  const described = parse(textOf('deploy/helm/terrace/Chart.yaml'));
  assert.deepEqual([described.version, described.appVersion], [version, version]);
});

test('the configuration document of each variant is one that Terrace accepts', options, async () => {
  const { configuration } = documentOf(await render(everything));
  assert.equal(configuration.name, 'line-1-terrace');
  assert.equal(configuration.listen, '0.0.0.0:5000');
  assert.deepEqual(configuration.operate, { listen: '0.0.0.0:5001' });
  assert.deepEqual(configuration.tls, {
    certificateFile: '/secrets/tls/tls.crt',
    keyFile: '/secrets/tls/tls.key',
  });
  assert.equal(configuration.parent?.passwordFile, '/secrets/parent/password');
  assert.equal(configuration.parent?.caFile, '/secrets/parent/ca.crt');
  assert.equal(documentOf(await render(plain)).configuration.tls, undefined);
});

test(
  'the pod meets the restricted standard of Kubernetes, and writes nowhere but into its volumes',
  options,
  async () => {
    for (const values of [plain, everything, arc]) {
      const { securityContext, containers, automountServiceAccountToken } = podOf(await render(values));
      assert.equal(securityContext.runAsNonRoot, true);
      assert.equal(securityContext.runAsUser, 10001);
      assert.deepEqual(securityContext.seccompProfile, { type: 'RuntimeDefault' });
      assert.equal(automountServiceAccountToken, false);
      assert.deepEqual(containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
    const any = podOf(await render({ ...plain, runAsUser: null })).securityContext;
    assert.deepEqual(any, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  },
);

test(
  'every volume that is mounted exists, and every Secret that is named is rendered or given',
  options,
  async () => {
    for (const values of [plain, everything, arc]) {
      const objects = await render(values);
      const { containers, volumes } = podOf(objects);
      const names = volumes.map(({ name }: { name: string }) => name);
      assert.deepEqual(
        containers[0].volumeMounts.map(({ name }: { name: string }) => name),
        names,
      );
      const rendered = objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name);
      const issued = objects.filter(({ kind }) => kind === 'Certificate').map(({ spec }) => spec.secretName);
      for (const { secret } of volumes) {
        if (secret) assert.ok([...rendered, ...issued].includes(secret.secretName), secret.secretName);
      }
    }
  },
);

test('no password is anywhere but in a Secret', options, async () => {
  for (const [values, secrets] of [
    [everything, ['a password of ops', 'a password of the parent']],
    [arc, ['SyncTokenPassword=abc']],
  ] as const) {
    const objects = await render(values);
    for (const secret of secrets) {
      const holders = objects.filter((object) => JSON.stringify(object).includes(secret));
      assert.deepEqual(
        holders.map(({ kind }) => kind),
        ['Secret'],
      );
    }
  }
});

test("values of Azure's extension have their meaning there", options, async () => {
  const objects = await render(arc);
  const { containers } = podOf(objects);
  const { secretKeyRef } = containers[0].env.find(
    ({ name }: { name: string }) => name === 'ACR_REGISTRY_CONNECTION_STRING',
  ).valueFrom;
  assert.equal(
    pick(objects, 'Secret', secretKeyRef.name).stringData?.[secretKeyRef.key],
    arc.connectionString,
  );
  assert.equal(pick(objects, 'Service').spec.clusterIP, '192.100.100.1');
  assert.equal(pick(objects, 'Service').spec.ports[0].port, 443);
  const { spec } = pick(objects, 'PersistentVolumeClaim');
  assert.deepEqual(spec.resources.requests, { storage: '250Gi' });
  assert.equal(spec.storageClassName, 'standard');
  assert.deepEqual(pick(objects, 'Certificate', 'line-1-terrace').spec.ipAddresses, ['192.100.100.1']);
  assert.equal(documentOf(objects).configuration.parent, undefined, 'the environment has it');

  const own = {
    ...arc,
    'cert-manager': { enabled: false },
    tls: { crt: 'YQ==', key: 'Yg==', cacrt: 'Yw==' },
  };
  const secret = pick(await render(own), 'Secret', 'tls');
  assert.deepEqual(secret.data, { 'tls.crt': 'YQ==', 'tls.key': 'Yg==', 'ca.crt': 'Yw==' });
  assert.equal(secret.type, 'kubernetes.io/tls');
});

test('what the chart does not do is refused with the remedy, all at once', options, async () => {
  const text = await complaint({
    ...arc,
    'cert-manager': { enabled: true, install: true },
    trustDistribution: { enabled: true },
    registry: { replicas: 2 },
    httpEnabled: true,
    config: { listen: '127.0.0.1:1', parent: { url: 'https://other.example' } },
  });
  for (const expected of [
    /config\.listen: the chart sets it/,
    /connectionString, config\.parent: both name a parent/,
    /cert-manager\.enabled, httpEnabled: set exactly one/,
    /cert-manager\.install: this chart does not install/,
    /trustDistribution\.enabled: this chart changes no files of nodes/,
    /registry\.replicas: a layer has one pod/,
  ]) {
    assert.match(text, expected);
  }
  assert.match(await complaint({ httpEnabled: true }), /config\.tokens: nobody could log in/);
  assert.match(await complaint({ config, accounts }), /tls: set exactly one/);
  assert.match(await complaint({ ...plain, pvc: { storagRequest: '1Gi' } }), /storagRequest is not allowed/);
  assert.match(await complaint({ ...plain, accounts: { passwords: { ops: 'short' } } }), /passwords\.ops/);
  assert.match(
    await complaint({ ...plain, monitoring: { serviceMonitor: { enabled: true } } }),
    /set operate\.enabled: true/,
  );
});

test('a packed chart has the alerts and the dashboard of deploy/monitoring', options, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-chart-'));
  try {
    await helm(['package', chart, '--destination', folder]);
    const { version } = JSON.parse(textOf('package.json'));
    const objects = await render(everything, join(folder, `terrace-${version}.tgz`));
    assert.deepEqual(
      pick(objects, 'PrometheusRule').spec,
      parse(textOf('deploy/monitoring/terrace.rules.yml')),
    );
    const dashboard = pick(objects, 'ConfigMap', 'dashboard').data?.['terrace.json'] ?? '';
    assert.deepEqual(
      JSON.parse(dashboard),
      JSON.parse(await readFile(join(root, 'deploy/monitoring/dashboard.json'), 'utf8')),
    );
    const { endpoints } = pick(objects, 'ServiceMonitor').spec;
    assert.deepEqual(endpoints[0].relabelings, [{ targetLabel: 'job', replacement: 'terrace' }]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
