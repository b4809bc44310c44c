import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { piecesOf } from '../../../cli/iotedge/iotedge-options.ts';
import { runCommand } from '../../support/terrace.ts';

/** Deployment manifests: the command prints the examples of deploy/iotedge, and devices accept them. */

const folder = join(import.meta.dirname, '../../../deploy/iotedge');
const examples = {
  top: ['top', '--parent', 'contoso.azurecr.io', '--name', 'plant', '--repository', 'line/web', 'base/os'],
  nested: ['nested', '--name', 'line-1', '--repository', 'line/*'],
  'pass-through': ['pass-through', '--name', 'line-1'],
};

// biome-ignore lint/suspicious/noExplicitAny: documents of another system, of which single fields are read
type Any = any;
const example = async (name: string): Promise<Any> =>
  JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'));
const agentOf = (manifest: Any): Any => manifest.modulesContent.$edgeAgent['properties.desired'];

/** Joins the pieces of the options of a container, as edgeAgent does. */
function optionsOf({ settings }: Any): Any {
  const pieces = Object.keys(settings).filter((key) => key.startsWith('createOptions'));
  return JSON.parse(
    pieces
      .sort()
      .map((key) => settings[key])
      .join(''),
  );
}

test('the examples equal the output of the command, and are valid', async () => {
  const rows = Object.entries(examples);
  const printed = await Promise.all(
    rows.map(([, parameters]) => runCommand('iotedge', 'manifest', ...parameters)),
  );
  for (const [index, [name]] of rows.entries()) {
    assert.deepEqual(JSON.parse(printed[index]?.stdout ?? ''), await example(name));
    assert.deepEqual(manifestComplaints(await example(name)), []);
  }
});

test('the module of each layer resolves to a valid configuration in a read-only container', async () => {
  for (const [name, url] of [
    ['top', 'https://contoso.azurecr.io'],
    ['nested', 'https://upper.example:8000'],
  ] as const) {
    const manifest = await example(name);
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
  for (const name of ['nested', 'pass-through']) {
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

test('each complaint names the place of the field that a device would refuse', async () => {
  const rows: [(manifest: Any) => void, RegExp][] = [
    [(one) => delete one.modulesContent.$edgeHub, /^\$edgeHub\.schemaVersion is not valid/],
    [
      (one) => (agentOf(one).modules.terrace.settings.image = '$upstream/terrace:1'),
      /\$upstream without a port/,
    ],
    [
      (one) => (agentOf(one).runtime.settings.registryCredentials.parent.address = '$upstream'),
      /registryCredentials\.parent\.address .* without a port/,
    ],
    [
      (one) => (agentOf(one).modules['a b'] = agentOf(one).modules.terrace),
      /module a b: the name is not valid/,
    ],
    [(one) => (agentOf(one).modules.terrace.env['A#B'] = { value: '1' }), /env "A#B" has \+ #/],
    [
      (one) => (agentOf(one).modules.terrace.restartPolicy = 'sometimes'),
      /restartPolicy "sometimes" is not valid: write always/,
    ],
    [(one) => (agentOf(one).modules.terrace.colour = 'red'), /module terrace has the unknown field colour/],
    [(one) => (agentOf(one).modules.terrace.settings.createOptions = '{'), /createOptions is not JSON/],
    [(one) => (agentOf(one).modules.terrace.settings.createOptions03 = ''), /createOptions\d\d is missing/],
    [
      (one) => (agentOf(one).modules.terrace.settings.createOptions += ' '.repeat(512)),
      /longer than 512 characters/,
    ],
    [
      (one) => (one.modulesContent.other = { 'properties.desired': {} }),
      /^other is not a module of \$edgeAgent/,
    ],
    [
      (one) => (one.modulesContent.terrace['properties.desired']['a.b'] = 1),
      /terrace\.a\.b has a key that a twin rejects/,
    ],
    [
      (one) => (one.modulesContent.terrace['properties.desired'].a = 'x'.repeat(5_000)),
      /terrace\.a has 5000 bytes: shorten it to at most 4096/,
    ],
    [
      (one) => (one.modulesContent.terrace['properties.desired'].a = [null]),
      /terrace\.a\[0\] is null in a list/,
    ],
    [(one) => (one.modulesContent.terrace['properties.desired'].a = 2 ** 53), /outside of ±2\^52/],
    [
      (one) => (one.modulesContent.terrace['properties.desired'].a = Array(9).fill('x'.repeat(4_000))),
      /terrace has \d+ bytes, and a twin at most 32768/,
    ],
    [
      (one) =>
        (one.modulesContent.terrace['properties.desired'].a = JSON.parse('['.repeat(11) + ']'.repeat(11))),
      /deeper than 10 levels/,
    ],
  ];
  for (const [change, complaint] of rows) {
    const manifest = await example('nested');
    change(manifest);
    assert.match(manifestComplaints(manifest).join('\n'), new RegExp(complaint.source, 'm'), String(change));
  }
  assert.match(manifestComplaints({}).join(), /^modulesContent is missing/);
  const checked = await runCommand('iotedge', 'check', join(folder, 'top.json'));
  assert.equal(checked.code, 0, checked.text);
});
