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
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import { startBridge } from '../../services/twin-bridge/bridge.ts';
import type { DocumentSource, SourceState } from '../../services/twin-bridge/source/source.ts';
import { quiet, TestBus } from '../support/bus.ts';
import { until } from '../support/until.ts';

/** A source that the test writes to. */
class ScriptedSource implements DocumentSource {
  readonly name = 'script';
  #handler: (document: SourceState) => void = () => {};
  #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  watch(handler: (document: SourceState) => void): Disposable {
    this.#handler = handler;
    this.write(this.#text);
    return { [Symbol.dispose]() {} };
  }
  write(text: string): void {
    this.#handler({ text, folder: '/' });
  }
}

async function startRig(text: string, overrides: Overrides = {}) {
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
  // An event that the stream was slow to store is received again.
  const isNew = (id: string) => !ids.has(id) && ids.add(id);
  operator.listen(configurationChanged, ({ id, data }) => isNew(id) && events.push(data.fields));
  operator.listen(configurationRefused, ({ id, data }) => isNew(id) && events.push(data.complaints));
  await operator.flush();
  const source = new ScriptedSource(text);
  const running = startBridge(bus, quiet, source, { overrides }, 20);
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

test('a document is published with its overrides, and only if it differs', async () => {
  await using rig = await startRig('name: one\nsyncers: 2', { syncers: 3 });
  await rig.inForce((value) => value?.name === 'one' && value.syncers === 3);
  const { revision } = (await rig.operator.get(configuration, CONFIGURATION_KEY)) ?? {};
  rig.source.write('{ "name": "one" }');
  rig.source.write('name: two');
  await rig.inForce((value) => value?.name === 'two');
  assert.equal((await rig.operator.get(configuration, CONFIGURATION_KEY))?.revision, (revision ?? 0) + 1);
  await until(() => rig.events.length >= 2);
  assert.deepEqual(rig.events[1], ['name']);
});

test('an invalid document changes nothing, and its complaint is reported', async () => {
  await using rig = await startRig('name: one');
  await rig.inForce((value) => value?.name === 'one');
  // The event is published after the configuration is in force.
  await until(() => rig.events.length >= 1);
  rig.source.write('name: Two\n');
  const { complaints, source } = await rig.operator.call(bridgeStatus, {});
  assert.equal(source, 'script');
  assert.equal(complaints.length, 1);
  assert.match(complaints[0] as string, /^name "Two"/);
  await until(() => rig.events.length >= 2);
  assert.deepEqual(rig.events[1], complaints);
  assert.equal((await rig.operator.get(configuration, CONFIGURATION_KEY))?.value.name, 'one');
  rig.source.write('name: three');
  await rig.inForce((value) => value?.name === 'three');
  assert.deepEqual((await rig.operator.call(bridgeStatus, {})).complaints, []);
});

test('a configuration that the bus lost or another process overwrote is restored', async () => {
  await using rig = await startRig('name: one');
  await rig.inForce((value) => value?.name === 'one');
  const other = { ...(rig.values.at(-1) as Configuration), name: 'other' };
  await rig.bus.put(configuration, CONFIGURATION_KEY, other);
  await rig.inForce((value) => value?.name === 'one');
  await rig.server.kill({ forget: true });
  await rig.server.up();
  // A watcher may miss a short absence: only a read of the store shows the value.
  const stored = () => rig.operator.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  await until(async () => (await stored())?.value.name === 'one', 'the configuration is back');
});

test('a password file that is created later is found without a change of the document', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-bridge-'));
  const password = join(folder, 'password');
  await using rig = await startRig(`parent: { url: http://a, username: u, passwordFile: ${password} }`);
  await until(() => rig.events.length >= 1);
  assert.match(String(rig.events[0]), /password" can't be read/);
  await writeFile(password, 'x');
  await rig.inForce((value) => value?.parent?.passwordFile === password);
  assert.equal(rig.events.filter((event) => /can't/.test(String(event))).length, 1, 'reported once');
  await rm(folder, { recursive: true });
});

test('a document that is not valid is in the audit log, once', async () => {
  await using rig = await startRig('name: one');
  const storage = await rig.server.connect('storage');
  const entries: AuditEntry[] = [];
  storage.serve(addAudit, async (query) => {
    entries.push(...query.entries);
    return {};
  });
  const actions = () => entries.map(({ action, outcome }) => `${action} ${outcome}`);
  await until(() => entries.length === 1);
  rig.source.write('nonsense: true');
  rig.source.write('nonsense: true');
  rig.source.write('name: two');
  await until(() => entries.length === 3);
  const changed = 'configuration/change said';
  assert.deepEqual(actions(), [changed, 'configuration/refuse refused', changed]);
  assert.match(String(entries[1]?.detail?.complaints), /^nonsense is not a field/);
});

test('a changed document is pending in the status until it is in force', async () => {
  await using rig = await startRig('name: one');
  const isPending = async () => Boolean((await rig.operator.call(bridgeStatus, {})).pending);
  const storage = await rig.server.connect('storage');
  const pendingDuringAudit: boolean[] = [];
  storage.serve(addAudit, async () => {
    pendingDuringAudit.push(await isPending());
    return {};
  });
  await until(async () => pendingDuringAudit.length === 1 && !(await isPending()));
  rig.source.write('name: two');
  await rig.inForce((value) => value?.name === 'two');
  await until(async () => !(await isPending()));
  assert.equal(pendingDuringAudit[1], true);
});

test('a document is pending until it is in force and storage has its accounts, then applied', async () => {
  await using rig = await startRig('name: one');
  const state = () => rig.running.desired().state;
  assert.equal(state(), 'pending');
  await rig.inForce((value) => value?.name === 'one');
  assert.equal(state(), 'pending', 'storage has not accepted the accounts');
  let changes = 0;
  rig.running.onChange(() => {
    changes += 1;
  });
  const storage = await rig.server.connect('storage');
  storage.serve(declareAccounts, async () => ({ complaints: [] }));
  await until(() => state() === 'applied');
  assert.ok(changes > 0, 'the reporter is called');
  rig.source.write('name: two');
  assert.equal(state(), 'pending');
  await until(() => state() === 'applied');
  assert.equal((await rig.operator.get(configuration, CONFIGURATION_KEY))?.value.name, 'two');
  rig.source.write('name: Two');
  assert.equal(state(), 'refused');
});
