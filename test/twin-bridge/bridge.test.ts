import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  configurationChanged,
  configurationRefused,
} from '#proto/document/configuration.ts';
import { declareAccounts } from '#proto/document/declared-accounts.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import { bridge } from '../../services/twin-bridge/bridge.ts';
import type { DocumentSource, SourceState } from '../../services/twin-bridge/source/source.ts';
import { quiet, TestBus } from '../support/bus.ts';
import { until } from '../support/until.ts';

/** A source that the test writes to. */
class Script implements DocumentSource {
  readonly name = 'script';
  #handler: (found: SourceState) => void = () => {};
  #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  watch(handler: (found: SourceState) => void): Disposable {
    this.#handler = handler;
    this.write(this.#text);
    return { [Symbol.dispose]() {} };
  }
  write(text: string): void {
    this.#handler({ text, folder: '/' });
  }
}

async function rig(text: string, overrides: Overrides = {}) {
  const server = await TestBus.start();
  const [bus, operator, gateway] = await Promise.all([
    server.connect('twin-bridge'),
    server.connect('operator'),
    server.connect('gateway'),
  ]);
  const values: (Configuration | undefined)[] = [];
  gateway.watch(configuration, CONFIGURATION_KEY, (value) => values.push(value));
  const events: unknown[] = [];
  const ids = new Set<string>();
  // One that the stream was slow to take is heard again.
  const isNew = (id: string) => !ids.has(id) && ids.add(id);
  operator.listen(configurationChanged, ({ id, data }) => isNew(id) && events.push(data.fields));
  operator.listen(configurationRefused, ({ id, data }) => isNew(id) && events.push(data.complaints));
  await operator.flush();
  const source = new Script(text);
  const running = bridge(bus, quiet, source, { overrides }, 20);
  return {
    server,
    source,
    operator,
    bus,
    running,
    values,
    events,
    inForce: (holds: (value: Configuration | undefined) => boolean) =>
      until(
        () => holds(values.at(-1)),
        () => `in force is ${JSON.stringify(values.at(-1))}`,
      ),
    [Symbol.asyncDispose]: async () => {
      running[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a document is put on the bus, with the overrides over it, and only when it differs', async () => {
  await using on = await rig('name: one\nsyncers: 2', { syncers: 3 });
  await on.inForce((value) => value?.name === 'one' && value.syncers === 3);
  const { revision } = (await on.operator.get(configuration, CONFIGURATION_KEY)) ?? {};
  on.source.write('{ "name": "one" }');
  on.source.write('name: two');
  await on.inForce((value) => value?.name === 'two');
  assert.equal((await on.operator.get(configuration, CONFIGURATION_KEY))?.revision, (revision ?? 0) + 1);
  await until(() => on.events.length >= 2);
  assert.deepEqual(on.events[1], ['name']);
});

test('a document that is not valid changes nothing, and the complaint is there to be read', async () => {
  await using on = await rig('name: one');
  await on.inForce((value) => value?.name === 'one');
  // It is told after it is in force.
  await until(() => on.events.length >= 1);
  on.source.write('name: Two\n');
  const { complaints, source } = await on.operator.call(bridgeStatus, {});
  assert.equal(source, 'script');
  assert.equal(complaints.length, 1);
  assert.match(complaints[0] as string, /^name "Two"/);
  await until(() => on.events.length >= 2);
  assert.deepEqual(on.events[1], complaints);
  assert.equal((await on.operator.get(configuration, CONFIGURATION_KEY))?.value.name, 'one');
  on.source.write('name: three');
  await on.inForce((value) => value?.name === 'three');
  assert.deepEqual((await on.operator.call(bridgeStatus, {})).complaints, []);
});

test('what the bus loses, or somebody else writes, is put right', async () => {
  await using on = await rig('name: one');
  await on.inForce((value) => value?.name === 'one');
  const other = { ...(on.values.at(-1) as Configuration), name: 'other' };
  await on.bus.put(configuration, CONFIGURATION_KEY, other);
  await on.inForce((value) => value?.name === 'one');
  await on.server.kill({ forget: true });
  await on.server.up();
  // A watcher need not see that it was away for a moment: only the store itself tells.
  const stored = () => on.operator.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  await until(async () => (await stored())?.value.name === 'one', 'the configuration is back');
});

test('a password file that comes later is found without a change of the document', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-bridge-'));
  const password = join(folder, 'password');
  await using on = await rig(`parent: { url: http://a, username: u, passwordFile: ${password} }`);
  await until(() => on.events.length >= 1);
  assert.match(String(on.events[0]), /password" can't be read/);
  await writeFile(password, 'x');
  await on.inForce((value) => value?.parent?.passwordFile === password);
  assert.equal(on.events.filter((event) => /can't/.test(String(event))).length, 1, 'told once');
  await rm(folder, { recursive: true });
});

test('a document is applied when it is in force and storage has its accounts, and pending before', async () => {
  await using on = await rig('name: one');
  const state = () => on.running.desired().state;
  assert.equal(state(), 'pending');
  await on.inForce((value) => value?.name === 'one');
  assert.equal(state(), 'pending', 'storage has not accepted the accounts');
  let changes = 0;
  on.running.onChange(() => {
    changes += 1;
  });
  const storage = await on.server.connect('storage');
  storage.serve(declareAccounts, async () => ({ complaints: [] }));
  await until(() => state() === 'applied');
  assert.ok(changes > 0, 'the reporter is called');
  on.source.write('name: two');
  assert.equal(state(), 'pending');
  await until(() => state() === 'applied');
  assert.equal((await on.operator.get(configuration, CONFIGURATION_KEY))?.value.name, 'two');
  on.source.write('name: Two');
  assert.equal(state(), 'refused');
});
