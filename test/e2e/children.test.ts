import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import type { KnownChild } from '../../cli/text/child-text.ts';
import { runCommandHere } from '../support/command-line.ts';
import { type TestLayer, type TestLayerOptions, testLayer } from '../support/layer.ts';
import { getManifest, pushImage } from '../support/registry/image.ts';

/** A layer and its child, and a second instance of the child with the same token. The tests build on each other. */

const stack = new AsyncDisposableStack();
let top: TestLayer;
let first: TestLayer;
let second: TestLayer;
let startChild: (more?: TestLayerOptions) => Promise<TestLayer>;

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-children-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const configFile = join(folder, 'top.yaml');
  await writeFile(configFile, 'anonymousPull: ["*"]\n');
  top = stack.use(await testLayer({ name: 'top', mode: 'ReadWrite', compact: 'hosted', configFile }));
  // Before the first account exists: from then on, a push needs one.
  await pushImage(top.host, 'base/app', 'v1');
  const { code, text, stdout } = await runChild(
    ...['create', 'line-1', '--repository', '*', '--mode', 'ReadWrite', '--json'],
  );
  assert.equal(code, 0, text);
  const { document, password } = JSON.parse(stdout);
  const passwordFile = join(folder, document.parent.passwordFile);
  await writeFile(passwordFile, password);
  startChild = async (more = {}) =>
    stack.use(
      await testLayer({
        ...document,
        parent: { ...document.parent, passwordFile },
        compact: 'hosted',
        ...more,
      }),
    );
  first = await startChild();
});
after(() => stack.disposeAsync());

const runChild = (...parameters: string[]) => runCommandHere('child', ...parameters, '--data', top.data);
const has = async (layer: TestLayer, repository: string, tag: string) =>
  (await getManifest(layer.host, repository, tag)) !== undefined;
const isRefused = ({ failures }: PassResult) =>
  failures.length === 1 &&
  failures[0]?.code === 'already-activated' &&
  failures[0].reason.includes('"terrace child deactivate line-1"');

async function listedChild(): Promise<KnownChild> {
  const [child] = JSON.parse((await runChild('list', '--json')).stdout) as KnownChild[];
  return child as KnownChild;
}

test('an instance that logs in as a child is activated by its first pass', async () => {
  assert.deepEqual((await first.sync()).failures, []);
  assert.ok(await has(first, 'base/app', 'v1'));
  const { instance, since = 0 } = await listedChild();
  assert.match(instance ?? '', /^[0-9a-f-]{36}$/);
  await first.restart();
  assert.deepEqual((await first.sync()).failures, []);
  assert.deepEqual(
    [(await listedChild()).instance, (await listedChild()).since],
    [instance, since],
    'the same',
  );
});

test('a second instance is refused with the remedy, and takes and sends nothing', async () => {
  // With this schedule, a push of a client is sent at once.
  second = await startChild({ schedule: '* * * * *' });
  assert.ok(isRefused(await second.sync()));
  assert.ok(!(await has(second, 'base/app', 'v1')));
  const status = await runCommandHere('status', '--data', second.data);
  assert.match(
    status.text,
    /: Unhealthy: another instance of line-1 is activated .*"terrace child deactivate line-1"/,
  );
  await pushImage(second.host, 'own/two', 'v1');
  const { pass } = await second.event(passStarted, ({ cause }) => cause === 'change');
  assert.ok(isRefused(await second.event(passFinished, (result) => result.pass === pass)));
  assert.ok(!(await has(top, 'own/two', 'v1')));
  const warnings = second.lines.filter((line) =>
    line.includes('another instance is activated at the parent'),
  );
  assert.ok(warnings.length > 0);
});

test('the first instance still synchronizes, in both directions', async () => {
  await pushImage(first.host, 'own/one', 'v1');
  const { failures, sent } = await first.sync();
  assert.deepEqual([failures, sent], [[], 1]);
  assert.ok(await has(top, 'own/one', 'v1'));
});

test('after a deactivation, the second instance is activated, sends what it holds, and the first is refused', async () => {
  const before = await listedChild();
  const { code, text } = await runChild('deactivate', 'line-1');
  assert.equal(code, 0, text);
  assert.deepEqual((await second.sync()).failures, []);
  assert.ok(await has(second, 'base/app', 'v1'));
  assert.ok(await has(second, 'own/one', 'v1'));
  assert.ok(await has(top, 'own/two', 'v1'));
  assert.notEqual((await listedChild()).instance, before.instance);
  assert.ok(isRefused(await first.sync()));
  assert.ok(!(await has(first, 'own/two', 'v1')));
});

test('a copy of the data volume is refused and identified; the layer continues, also after a restart', async () => {
  const data = join(await mkdtemp(join(tmpdir(), 'terrace-clone-')), 'data');
  stack.defer(() => rm(data, { recursive: true, force: true }));
  await second.stop();
  await cp(second.data, data, { recursive: true, preserveTimestamps: true });
  await second.start();
  assert.deepEqual((await second.sync()).failures, []);
  const copy = await startChild({ data });
  const { failures } = await copy.sync();
  assert.equal(failures[0]?.code, 'already-activated');
  // The layer may have synchronized again since the first pass of the copy, and shown by that that it still runs.
  assert.match(
    failures[0]?.reason ?? '',
    /^(another start of this layer is active|a copy of this layer's data volume is activated) as line-1 at the parent \(address 127\.0\.0\.1, started 2\S+, last seen 2\S+; this one: address 127\.0\.0\.1, started 2\S+\)[:,] /,
  );
  await second.sync();
  const again = await copy.sync();
  assert.match(again.failures[0]?.reason ?? '', /^a copy of this layer's data volume is activated as line-1/);
  const { link } = JSON.parse((await runCommandHere('status', '--json', '--data', copy.data)).stdout);
  assert.deepEqual([link.state, link.code], ['Unhealthy', 'already-activated']);
  await second.restart();
  assert.deepEqual((await second.sync()).failures, []);
  assert.equal((await copy.sync()).failures[0]?.code, 'already-activated');
  assert.equal((await listedChild()).address, '127.0.0.1');
});

test('a token of no child needs no activation, and any number of layers may use it', async () => {
  const actions = ['repositories/*/content/read', 'repositories/*/metadata/read'];
  const { password } = await top.bus().call(createToken, { name: 'plain', actions });
  const folder = await mkdtemp(join(tmpdir(), 'terrace-plain-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, password);
  const layer = await startChild({
    parent: { url: top.url, username: 'plain', passwordFile },
    name: 'plain',
    mode: 'ReadOnly',
  });
  assert.deepEqual((await layer.sync()).failures, []);
  assert.ok(await has(layer, 'own/two', 'v1'));
});
