import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { cp, rename, rm } from 'node:fs/promises';
import { after, test } from 'node:test';
import {
  activateChild,
  checkChild,
  deactivateChild,
  layerInstance,
  type Start,
} from '#proto/accounts/children.ts';
import {
  MAX_START_SILENCE_MS,
  type StartFacts,
  type StartVerdict,
  verdictOn,
} from '../../../services/storage/accounts/start-verdict.ts';
import { copyLive } from '../../support/live-copy.ts';
import { connectAll, fault, Rig } from '../rig.ts';

/** A layer below and copies of its data volume: one of them is active, and stays active when it restarts. */

const buses = await connectAll();
after(() => buses.server[Symbol.asyncDispose]());

const id = (letter: string) => letter.repeat(32);
const NOW = 1_000_000;
const start = (letter: string, before = '', ended = 0): Start => ({
  id: id(letter),
  at: NOW,
  before: [...before].map(id),
  ended,
});
const held = (letter: string, more: { replaced?: string; copies?: string } = {}): StartFacts['held'] => ({
  id: id(letter),
  at: 1,
  ...(more.replaced && { replaced: [...more.replaced].map(id) }),
  ...(more.copies && { copies: [...more.copies].map(id) }),
});
const waits = (letter: string, ago: number) => ({ id: id(letter), since: NOW - ago });

type Row = [
  name: string,
  facts: Partial<StartFacts> & Pick<StartFacts, 'held' | 'asking'>,
  silentMs: number,
  expected: StartVerdict,
];
const rows: Row[] = [
  ['the active start', { held: held('a'), asking: start('a') }, 0, 'holds'],
  ['killed and restarted', { held: held('a'), asking: start('b', 'a', 1) }, 0, 'takes'],
  [
    'killed three times while the parent was down',
    { held: held('a'), asking: start('d', 'cba', 3) },
    0,
    'takes',
  ],
  ['the machine was rebooted', { held: held('a'), asking: start('b', 'a') }, 20_000, 'waits'],
  [
    'the machine was rebooted, and the active start is silent',
    { held: held('a'), asking: start('b', 'a') },
    MAX_START_SILENCE_MS,
    'takes',
  ],
  [
    'the active start has been silent since before the first request of this one',
    { held: held('a'), asking: start('b', 'a'), waiting: waits('b', 50_000) },
    MAX_START_SILENCE_MS,
    'takes',
  ],
  [
    'the active start was seen after the first request of this one',
    { held: held('a'), asking: start('b', 'a'), waiting: waits('b', 50_000) },
    10_000,
    'copy',
  ],
  [
    'a restarted copy: the active start was seen after its first request',
    { held: held('a'), asking: start('c', 'ba', 1), waiting: waits('b', 50_000) },
    10_000,
    'copy',
  ],
  [
    'a start that is known to be a copy',
    { held: held('a', { copies: 'b' }), asking: start('b', 'a') },
    MAX_START_SILENCE_MS,
    'copy',
  ],
  [
    'a restart of a known copy',
    { held: held('a', { copies: 'b' }), asking: start('c', 'ba') },
    MAX_START_SILENCE_MS,
    'copy',
  ],
  [
    'a start that was replaced',
    { held: held('b', { replaced: 'a' }), asking: start('a') },
    MAX_START_SILENCE_MS,
    'copy',
  ],
  ['an old backup', { held: held('c', { replaced: 'ba' }), asking: start('d', 'a') }, 0, 'waits'],
  [
    'an old backup, and the active start is silent',
    { held: held('c', { replaced: 'ba' }), asking: start('d', 'a') },
    MAX_START_SILENCE_MS,
    'takes',
  ],
  [
    'in the same folder, but after another start',
    { held: held('x'), asking: start('b', 'a', 1) },
    10_000,
    'waits',
  ],
];
for (const [name, facts, silentMs, expected] of rows) {
  test(`the verdict is ${expected}: ${name}`, () => {
    assert.equal(verdictOn({ lastSeen: NOW - silentMs, waiting: undefined, now: NOW, ...facts }), expected);
  });
}

/** A layer below: its storage, and its requests to the parent. */
class Below implements AsyncDisposable {
  readonly rig: Rig;
  readonly parent: Rig;

  constructor(rig: Rig, parent: Rig) {
    this.rig = rig;
    this.parent = parent;
  }

  async activate(address = '10.0.0.5') {
    const identity = await this.rig.storage.children.getIdentity();
    return this.parent.storage.children.activate({ name: 'line-1', ...identity, address });
  }

  async copy(): Promise<Below> {
    const data = `${this.rig.data}-copy-${randomUUID()}`;
    await copyLive(this.rig.data, data);
    return new Below(await Rig.open(buses, data), this.parent);
  }

  [Symbol.asyncDispose]() {
    return this.rig[Symbol.asyncDispose]();
  }
}

const refused = (detail: Record<string, unknown>) =>
  fault('already-activated', { child: 'line-1', copy: true, ...detail });

test('a copy of a running layer is refused with what distinguishes them; the layer continues and can restart', async () => {
  await using parent = await Rig.open(buses);
  await using below = new Below(await Rig.open(buses), parent);
  const { now } = parent;
  await below.activate();
  await using copy = await below.copy();
  parent.now += 30_000;
  await assert.rejects(
    copy.activate('10.0.0.9'),
    refused({ address: '10.0.0.5', from: '10.0.0.9', seen: now, retryAfter: 60 }),
  );
  parent.now += 20_000;
  await below.activate();
  parent.now += 10_000;
  await assert.rejects(copy.activate('10.0.0.9'), refused({ address: '10.0.0.5', retryAfter: undefined }));
  // Each of them is killed and restarted.
  await below.rig.restart();
  await copy.rig.restart();
  await assert.rejects(copy.activate(), refused({}));
  assert.equal((await below.activate()).made, false);
  await parent.restart();
  await assert.rejects(copy.activate(), refused({}), 'also after a restart of the parent');
  assert.equal((await below.activate()).made, false);
  await parent.storage.children.deactivate('line-1');
  assert.equal(
    (await copy.activate()).made,
    true,
    'after deactivation, the first one that asks is activated',
  );
  parent.now += MAX_START_SILENCE_MS - 1;
  await assert.rejects(below.activate(), refused({ retryAfter: 1 }));
});

test('a moved, restored or copied volume takes over from a layer that is silent', async () => {
  await using parent = await Rig.open(buses);
  const below = new Below(await Rig.open(buses), parent);
  await below.activate();
  await using moved = await below.copy();
  await below[Symbol.asyncDispose]();
  await assert.rejects(moved.activate(), refused({ retryAfter: 90 }));
  parent.now += MAX_START_SILENCE_MS;
  await moved.activate();
  const { children } = await parent.storage.children.list({ limit: 10 });
  assert.deepEqual(
    children.map(({ name, address }) => [name, address]),
    [['line-1', '10.0.0.5']],
  );
});

test('a clock that is set in either direction makes no layer silent and lengthens no wait', async () => {
  const year = 365 * 24 * 60 * 60_000;
  for (const ahead of [10 * year, -year]) {
    await using parent = await Rig.open(buses);
    const below = new Below(await Rig.open(buses), parent);
    await below.activate();
    parent.ahead = ahead;
    await using copy = await below.copy();
    await assert.rejects(copy.activate(), refused({ seen: parent.now + ahead, retryAfter: 90 }));
    await below[Symbol.asyncDispose]();
    parent.now += MAX_START_SILENCE_MS;
    assert.equal((await copy.activate()).made, false);
  }
});

test('after a restart of the parent no layer counts as silent', async () => {
  await using parent = await Rig.open(buses);
  await using below = new Below(await Rig.open(buses), parent);
  await below.activate();
  parent.now += 59_000;
  await below.activate();
  parent.now += 60_000;
  await parent.restart();
  await using copy = await below.copy();
  await assert.rejects(copy.activate(), refused({ retryAfter: 90 }));
});

test('a start has certainly ended only if it was in the same folder since the same boot', async () => {
  const rig = await Rig.open(buses);
  const first = await rig.storage.children.getIdentity();
  await rig.restart();
  const second = (await buses.syncer.call(layerInstance, {})) as Required<typeof first>;
  assert.deepEqual(second.start.before, [first.start?.id]);
  assert.equal(second.start.ended, 1);
  await rig.stop();
  // Another folder of the same name.
  await cp(rig.data, `${rig.data}-restored`, { recursive: true });
  await rename(rig.data, `${rig.data}-old`);
  await rename(`${rig.data}-restored`, rig.data);
  await rig.start();
  assert.equal((await rig.storage.children.getIdentity()).start?.ended, 0);
  await rm(`${rig.data}-old`, { recursive: true });
  await rig[Symbol.asyncDispose]();
});

test('a report is accepted from the active start only; earlier versions do not send their start', async () => {
  await using rig = await Rig.open(buses);
  const { call } = rig.gateway;
  const instance = randomUUID();
  const free = async (start?: string) =>
    (await call(checkChild, { name: 'line-1', instance, ...(start && { start }) })).free;
  await call(activateChild, { name: 'line-1', instance });
  assert.deepEqual([await free(), await free(id('a'))], [true, true]);
  await call(activateChild, { name: 'line-1', instance, start: start('a') });
  assert.deepEqual([await free(), await free(id('a')), await free(id('b'))], [false, true, false]);
  await call(activateChild, { name: 'line-1', instance });
  assert.equal(await free(), true, 'an earlier version is active again');
  const operator = await buses.server.connect('operator', 'operator-starts');
  await operator.call(deactivateChild, { name: 'line-1' });
});
