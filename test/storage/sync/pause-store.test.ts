import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { endLinkPause, getLinkPause, setLinkPause } from '#proto/sync/pause.ts';
import { AUDIT_LOG } from '#proto/volume/layout.ts';
import { until } from '../../support/until.ts';
import { type Buses, connectAll, Rig } from '../rig.ts';

/** The pause of the link, as storage keeps and ends it. */

let buses: Buses;
let operator: Bus;
before(async () => {
  buses = await connectAll();
  operator = await buses.server.connect('operator');
});
after(() => buses.server[Symbol.asyncDispose]());

const pausesOf = ({ events }: Rig) => events.filter(([type]) => /^link\./.test(type));
const paused = async (rig: Rig) => (await rig.syncer.call(getLinkPause, {})).paused;

test('a pause survives restarts, keeps its beginning when it is changed, and ends on request', async () => {
  await using rig = await Rig.open(buses);
  const since = rig.now;
  assert.equal(await paused(rig), undefined);
  await operator.call(setLinkPause, { reason: 'welding' });
  await rig.restart();
  assert.deepEqual(await paused(rig), { since, by: '_operator', reason: 'welding' });
  assert.deepEqual((await operator.call(storageStatus, {})).paused?.reason, 'welding');
  rig.now += 5_000;
  await operator.call(setLinkPause, { forMs: 60_000 });
  const changed = { since, by: '_operator', until: rig.now + 60_000 };
  assert.deepEqual(await paused(rig), changed);
  assert.deepEqual(await operator.call(endLinkPause, {}), { ended: changed });
  assert.deepEqual(await operator.call(endLinkPause, {}), {});
  await rig.restart();
  assert.equal(await paused(rig), undefined);
  const account = '_operator';
  assert.deepEqual(pausesOf(rig), [
    ['link.paused', { since, by: '_operator', reason: 'welding', account }],
    ['link.paused', { ...changed, account }],
    ['link.resumed', { since, by: '_operator', account }],
  ]);
  const audit = await readFile(join(rig.data, AUDIT_LOG), 'utf8');
  const actions = audit.split('\n').filter((line) => line.includes('"action":"link/'));
  const outcomes = actions.map((line) => JSON.parse(line)).map(({ action, outcome }) => [action, outcome]);
  assert.deepEqual(outcomes.slice(0, 2), [
    ['link/pause', 'begun'],
    ['link/pause', 'done'],
  ]);
  assert.match(actions[0] ?? '', /"detail":\{"reason":"welding"\}/);
});

test('a pause ends by itself, also one whose time is over while storage is stopped', async () => {
  await using rig = await Rig.open(buses);
  await operator.call(setLinkPause, { forMs: 3_600_000 });
  const since = rig.now;
  rig.storage.pause.begin();
  assert.notEqual(await paused(rig), undefined);
  rig.now += 3_600_000;
  await rig.restart();
  rig.storage.pause.begin();
  await until(async () => (await paused(rig)) === undefined, 'the pause has ended');
  assert.deepEqual(pausesOf(rig).at(-1), ['link.resumed', { since }]);
  await until(async () => {
    const audit = await readFile(join(rig.data, AUDIT_LOG), 'utf8');
    return /"action":"link\/resume","outcome":"done","reason":"its time is over"/.test(audit);
  }, 'the end of the pause is recorded');
});
