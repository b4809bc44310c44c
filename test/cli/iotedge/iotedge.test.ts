import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { piecesOf } from '../../../cli/iotedge/schema/create-options.ts';
import { runCommand } from '../../support/terrace.ts';
import { type Any, agentOf, example, folder, type Layer, optionsOf, readyExample } from './examples.ts';

/** Deployment manifests: the command prints the examples of deploy/iotedge, and devices accept them. */

const examples = {
  top: [
    ...['top', '--parent', 'contoso.azurecr.io', '--name', 'plant'],
    ...['--repository', 'line/web', 'base/os', '--child', 'line-1'],
  ],
  nested: ['nested', '--name', 'line-1', '--repository', 'line/*'],
  'pass-through': ['pass-through', '--name', 'line-1'],
};
const layers = Object.keys(examples) as Layer[];

test('the examples equal the output of the command, and are valid but for their placeholders', async () => {
  const printed = await Promise.all(
    layers.map((layer) => runCommand('iotedge', 'manifest', ...examples[layer])),
  );
  for (const [index, name] of layers.entries()) {
    assert.deepEqual(JSON.parse(printed[index]?.stdout ?? ''), await example(name));
    assert.match(
      printed[index]?.text ?? '',
      /Replace <SYNC_TOKEN_PASSWORD> by the password of the sync token/,
    );
    assert.deepEqual(manifestComplaints(await readyExample(name)), []);
    for (const complaint of manifestComplaints(await example(name)))
      assert.match(complaint, /is a placeholder|^terrace\.children\.0\.passwords/);
  }
  const checked = await runCommand('iotedge', 'check', join(folder, 'top.json'));
  assert.equal(checked.code, 1, checked.text);
  assert.match(checked.text, /registryCredentials\.parent\.password is a placeholder/);
});

test('the module of each layer resolves to a valid configuration in a read-only container', async () => {
  for (const [name, url] of [
    ['top', 'https://contoso.azurecr.io'],
    ['nested', 'https://upper.example:8000'],
  ] as const) {
    const manifest = await readyExample(name);
    const { terrace } = agentOf(manifest).modules;
    const set = Object.entries(terrace.env).map(([key, { value }]: Any) => [key, value]);
    const env = { ...Object.fromEntries(set), IOTEDGE_PARENTHOSTNAME: 'upper.example' };
    const { fields } = environmentFields(env, '/var/acr/data', () => false);
    const text = JSON.stringify(manifest.modulesContent.terrace['properties.desired']);
    const resolved = resolveDocument({ text, late: true, defaults: fields, readable: () => true });
    assert.ok('configuration' in resolved, JSON.stringify(resolved));
    assert.equal(resolved.configuration.parent?.url, url);
    const { HostConfig, User, Cmd } = optionsOf(terrace);
    assert.deepEqual([User, Cmd, HostConfig.ReadonlyRootfs], ['10001:10001', ['up', '--log-json'], true]);
    assert.deepEqual(HostConfig.Binds, ['/srv/iotedge/terrace:/var/acr/data']);
    assert.equal(HostConfig.LogConfig.Config['max-size'], '10m');
  }
});

test('below the top, all images come from the device above, with the token of the layer', async () => {
  for (const name of ['nested', 'pass-through'] as const) {
    const { runtime, systemModules, modules } = agentOf(await example(name));
    for (const module of [...Object.values(systemModules), ...Object.values(modules)] as Any[]) {
      assert.match(module.settings.image, /^\$upstream:8000\//);
    }
    const { address, username } = runtime.settings.registryCredentials.parent;
    assert.deepEqual([address, username], ['$upstream:8000', 'line-1']);
    const route = modules.IoTEdgeAPIProxy.env.CONNECTED_ACR_ROUTE_ADDRESS;
    assert.deepEqual(route, name === 'nested' ? { value: 'terrace:8080' } : undefined);
    const hub = optionsOf(systemModules.edgeHub);
    assert.deepEqual(Object.keys(hub.HostConfig.PortBindings), ['443/tcp', '5671/tcp', '8883/tcp']);
  }
});

test('port 443 belongs to the hub or to the proxy, and --no-desired leaves out the twin of the module', async () => {
  const parameters = ['iotedge', 'manifest', 'nested', '--port', '443', '--no-desired'];
  const manifest = JSON.parse((await runCommand(...parameters)).stdout);
  const { systemModules, modules } = agentOf(manifest);
  const bound = (module: Any) => Object.keys(optionsOf(module).HostConfig.PortBindings);
  assert.deepEqual(
    [bound(systemModules.edgeHub), bound(modules.IoTEdgeAPIProxy)],
    [['5671/tcp', '8883/tcp'], ['443/tcp']],
  );
  assert.deepEqual(Object.keys(manifest.modulesContent), ['$edgeAgent', '$edgeHub']);
});

test('options of a container are split into pieces that a twin accepts', () => {
  const options = { a: 'x'.repeat(1_500), b: 'ü€' };
  const pieces = piecesOf(options);
  assert.deepEqual(Object.keys(pieces), ['createOptions', 'createOptions01', 'createOptions02']);
  assert.deepEqual(
    Object.values(pieces)
      .map((piece) => piece.length)
      .slice(0, 2),
    [512, 512],
  );
  assert.deepEqual(JSON.parse(Object.values(pieces).join('')), options);
  assert.throws(() => piecesOf({ a: 'x'.repeat(52_000) }), RangeError);
});
