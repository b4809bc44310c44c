import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Schedules } from '../../../services/storage/maintenance/schedules.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { until } from '../../support/until.ts';
import { app, keepDelta, sampleDelta } from '../deltas/delta-rig.ts';
import { bytesOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const EVERY_SECOND = '* * * * * *';

test('garbage collection and scrub run at the schedules of the configuration in force', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push('app', bytesOf('garbage'));
  using schedules = new Schedules(rig.storage, quiet);
  const configuration = configurationWith({ reserve: 1_000, garbageCollection: { grace: 'PT5S' } });
  schedules.set(configuration);
  assert.equal((await rig.storage.status()).space.reserve, 1_000);
  rig.now += 5_000;
  const { garbageCollection, scrub } = configuration;
  schedules.set({
    ...configuration,
    garbageCollection: { ...garbageCollection, schedule: EVERY_SECOND },
    scrub: { ...scrub, schedule: EVERY_SECOND },
  });
  const count = (type: string) => rig.events.filter(([each]) => each === type).length;
  await until(() => count('garbage.collected') > 0 && count('scrub.finished') > 0);
  for (const type of ['garbage.collected', 'scrub.finished']) {
    const [, data] = rig.events.find(([each]) => each === type) ?? [];
    assert.equal((data as { account?: string }).account, '_schedule', 'no account requested it');
  }
  const audited = await readFile(join(rig.data, 'log/audit.log'), 'utf8');
  for (const action of ['garbage/collect', 'scrub/run']) {
    assert.match(audited, new RegExp(`"account":"_schedule","action":"${action}","outcome":"begun"`));
  }
  assert.equal((await rig.storage.status()).blobs, 0);
});

test('what is to be pushed counts as pending in a ReadWrite layer with a parent only', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('app', 'kept', { tag: 'v1' });
  using schedules = new Schedules(rig.storage, quiet);
  const parent = { url: 'https://above.example' };
  const unsent = async (fields: object) => {
    schedules.set(configurationWith(fields));
    return (await rig.storage.status()).outgoing.unsent;
  };
  assert.equal(await unsent({}), 0, 'a top layer');
  assert.equal(await unsent({ parent, mode: 'ReadOnly' }), 0);
  assert.equal(await unsent({ parent, mode: 'ReadWrite' }), 1);
});

test('the budget of deltas is that of the configuration', async () => {
  await using rig = await Rig.open(buses);
  const to = await rig.gateway.push(app, bytesOf('target'));
  for (const size of [600, 700, 800]) {
    await keepDelta(rig.syncer, sampleDelta(to, [to], size));
    rig.now += 1_000;
  }
  rig.now += 3_600_000;
  using schedules = new Schedules(rig.storage, quiet);
  const untilLeft = (bytes: number) =>
    until(async () => ((await rig.storage.status()).deltas?.bytes ?? 0) === bytes, `${bytes} bytes are left`);
  schedules.set(configurationWith({ delta: { cache: 1_500 } }));
  await untilLeft(1_500);
  schedules.set(configurationWith({ delta: { mode: 'off' } }));
  await untilLeft(0);
});
