import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Authority } from '../support/certificates.ts';
import { testLayer } from '../support/layer.ts';
import { freePort } from '../support/ports.ts';
import { program, startCommandWith } from '../support/terrace.ts';
import { until } from '../support/until.ts';
import { chart, helm, type KubernetesObject, pick, render, withoutHelm } from './helm.ts';

/**
 * Runs what the chart renders as a kubelet would: arguments, environment, files of ConfigMaps and Secrets, and probes
 * of the container. Folders of the container are below a temporary one, and its ports are free ones.
 */

type Mount = { name: string; mountPath: string };
type Source = { name: string; configMap?: { name: string }; secret?: { secretName: string } };

async function containerIn(folder: string, objects: KubernetesObject[], ports: Record<string, number>) {
  const { containers, volumes } = pick(objects, 'StatefulSet').spec.template.spec;
  const [{ args, env, volumeMounts, ...probes }] = containers;
  const here = (text: string) =>
    text
      .replace(
        /(^|[=\s])(\/(?:data|secrets|etc\/terrace)\b)/gm,
        (_, before, path) => before + join(folder, path),
      )
      .replace(/0\.0\.0\.0:(\d+)/g, (_, port) => `127.0.0.1:${ports[port]}`);
  const lay = async (from: KubernetesObject[]) => {
    for (const { name, mountPath } of volumeMounts as Mount[]) {
      const { configMap, secret } = (volumes as Source[]).find((volume) => volume.name === name) as Source;
      const content = Object.entries(contentOf(from, configMap?.name, secret?.secretName));
      if (content.length > 0) {
        await layFiles(
          join(folder, mountPath),
          content.map(([key, text]) => [key, here(text)] as const),
        );
      }
    }
  };
  await lay(objects);
  const variables = (env as { name: string; value?: string }[]).map(({ name, value = '' }) => [
    name,
    here(value),
  ]);
  const probe = (name: string): string[] => probes[name].exec.command.slice(1).map(here);
  return { args: args.map(here) as string[], env: Object.fromEntries(variables), probe, lay };
}

/** As a kubelet does: each file is a link through `..data`, which is replaced with all of them. */
async function layFiles(at: string, files: (readonly [key: string, text: string])[]): Promise<void> {
  await mkdir(at, { recursive: true });
  const version = `..${randomUUID()}`;
  await mkdir(join(at, version));
  for (const [key, text] of files) await writeFile(join(at, version, key), text);
  await symlink(version, join(at, '..next'));
  await rename(join(at, '..next'), join(at, '..data'));
  for (const [key] of files) await symlink(`..data/${key}`, join(at, key)).catch(() => {});
}

function contentOf(objects: KubernetesObject[], map?: string, secret?: string): Record<string, string> {
  const name = map ?? secret;
  const found = objects.find(
    ({ kind, metadata }) => kind === (map ? 'ConfigMap' : 'Secret') && metadata.name === name,
  );
  const encoded = Object.entries((secret && found?.data) || {});
  const decoded = encoded.map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]);
  return { ...(map && found?.data), ...found?.stringData, ...Object.fromEntries(decoded) };
}

/** @returns the status of the answer */
async function statusOf(url: string, ca: Buffer, auth?: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  get(url, { ca, ...(auth && { auth }) }, (answer) => {
    answer.resume();
    resolve(answer.statusCode);
  }).on('error', reject);
  return promise;
}

test('a layer runs with what the chart renders, and applies a change of it; its probes, accounts and listeners are right', {
  skip: withoutHelm ?? false,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'terrace-pod-'));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  const authority = stack.use(await Authority.create());
  const { certificateFile, keyFile } = await authority.issue('layer');
  const base64 = (path: string) => readFile(path, 'base64');
  const values = {
    compact: true,
    config: { tokens: [{ name: 'ops', push: '*', passwords: [{ secretFile: '/secrets/accounts/ops' }] }] },
    accounts: { passwords: { ops: 'a password of ops' } },
    tls: {
      crt: await base64(certificateFile),
      key: await base64(keyFile),
      cacrt: await base64(authority.certificate),
    },
    operate: { enabled: true },
  };
  const objects = await render(values);
  const ports = { 5000: await freePort(), 5001: await freePort() };
  const { args, env, probe, lay } = await containerIn(folder, objects, ports);

  const layer = stack.use(startCommandWith(env, ...args));
  const passes = (name: string) =>
    promisify(execFile)(program, probe(name), { env: { ...process.env, ...env } }).then(
      () => true,
      () => false,
    );
  await until(
    () => passes('startupProbe'),
    () => `the startup probe passes; output:\n${layer.text}`,
  );
  assert.ok(await passes('readinessProbe'));
  assert.ok(await passes('livenessProbe'));

  const ca = await readFile(authority.certificate);
  const clients = `https://127.0.0.1:${ports[5000]}`;
  await until(
    async () => (await statusOf(`${clients}/v2/`, ca, 'ops:a password of ops')) === 200,
    'ops may log in',
  );
  assert.equal(await statusOf(`${clients}/v2/`, ca), 401);
  assert.equal(await statusOf(`${clients}/metrics`, ca), 404);
  assert.equal(await statusOf(`https://127.0.0.1:${ports[5001]}/metrics`, ca), 200);

  const tags = `${clients}/v2/line/app/tags/list`;
  assert.equal(await statusOf(tags, ca), 401);
  await lay(await render({ ...values, config: { ...values.config, anonymousPull: ['*'] } }));
  await until(async () => (await statusOf(tags, ca)) === 404, 'clients without an account may pull');
});

test('helm pushes a chart into a layer, and pulls it from there', {
  skip:
    withoutHelm ?? (process.env.TERRACE_HELM ? 'later versions of helm have other commands for it' : false),
}, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'terrace-helm-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const layer = stack.use(await testLayer({ compact: 'hosted' }));
  const reference = `${layer.host}/charts/terrace:1.0.0`;
  const env = (name: string) => ({
    HELM_EXPERIMENTAL_OCI: '1',
    HELM_CACHE_HOME: join(folder, name, 'cache'),
    HELM_CONFIG_HOME: join(folder, name, 'configuration'),
    HELM_DATA_HOME: join(folder, name, 'data'),
  });
  await helm(['chart', 'save', chart, reference], env('sender'));
  await helm(['chart', 'push', reference], env('sender'));
  await helm(['chart', 'pull', reference], env('receiver'));
  await helm(['chart', 'export', reference, '--destination', folder], env('receiver'));
  for (const file of ['values.schema.json', 'templates/statefulset.yaml', 'files/dashboard.json']) {
    assert.deepEqual(await readFile(join(folder, 'terrace', file)), await readFile(join(chart, file)), file);
  }
});
