import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { LINK_KEY, type LinkStatus, linkStatus, syncerStatus } from '#proto/status/status.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import type { DesiredState } from '../../../services/twin-bridge/report/layer-view.ts';
import type { Reported } from '../../../services/twin-bridge/report/reported.ts';
import { TwinReporter } from '../../../services/twin-bridge/report/twin-reporter.ts';
import { type Buses, connectAll, Rig } from '../../storage/rig.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { until } from '../../support/until.ts';

let buses: Buses;
let rig: Rig;
let bus: Bus;
let syncer: Bus;
before(async () => {
  buses = await connectAll();
  rig = await Rig.open(buses);
  bus = await buses.server.connect('twin-bridge');
  syncer = buses.syncer;
  const value = configurationWith({ parent: { url: 'https://up.example' } });
  await bus.put(configuration, CONFIGURATION_KEY, value);
});
after(async () => {
  await rig[Symbol.asyncDispose]();
  await buses.server[Symbol.asyncDispose]();
});

const link = (state: LinkStatus['state'], lastSync: number): LinkStatus => ({
  state,
  since: 1,
  lastSync,
  coordinator: 'syncer-test',
});

/** Publishes the status of the link, and of the syncer that coordinates. */
async function publishLink(status: LinkStatus): Promise<void> {
  const instance = status.coordinator;
  const one = { instance, host: 'a', pid: 1, coordinates: true, count: 0, transfers: [] };
  await syncer.put(syncerStatus, instance, one);
  await syncer.put(linkStatus, LINK_KEY, status);
}

test('changes are reported together, and volatile fields alone are not reported', async () => {
  const reports: Reported[] = [];
  let desired: DesiredState = { state: 'unknown', complaints: [] };
  using reporter = new TwinReporter({
    bus,
    log: quiet,
    version: '1',
    desired: () => desired,
    report: (reported) => reports.push(reported),
    pace: { debounceMs: 20, minIntervalMs: 20, minVolatileIntervalMs: 60_000, pollMs: 60_000 },
  });
  const reaches = (is: (reported: Reported) => boolean) =>
    until(
      () => reports.some(is),
      () => JSON.stringify(reports),
    );
  await reaches(({ connectionState }) => connectionState === 'Offline');
  await publishLink(link('Syncing', 1_000));
  await reaches(({ connectionState }) => connectionState === 'Syncing');
  syncer.publish(passStarted, { pass: 'p', coordinator: 'c', cause: 'request' });
  const result = { pass: 'p', ok: true, taken: 1, dropped: 0, sent: 0, withdrawn: 0, failed: 0, parked: 0 };
  syncer.publish(passFinished, { ...result, failures: [], ms: 1 });
  await reaches(({ registrySyncResult }) => JSON.stringify(registrySyncResult ?? '').includes('"taken":1'));

  const before = reports.length;
  await publishLink(link('Syncing', 2_000));
  desired = { version: 7, state: 'refused', complaints: ['mode "x" is not valid'] };
  reporter.changed();
  await reaches(({ desired: actual }) => (actual as DesiredState).version === 7);
  const { lastSyncTime } = reports.at(-1) ?? {};
  assert.equal(lastSyncTime, new Date(2_000).toISOString());
  const count = reports.length;
  assert.ok(count - before <= 2);
  await publishLink(link('Syncing', 3_000));
  const seenBy = async () => (await reporter.makeReport()).lastSyncTime;
  await until(async () => (await seenBy()) === new Date(3_000).toISOString());
  assert.equal(reports.length, count, 'another successful pass causes no report');
});

test('a burst of reports is sent at once, and further ones wait', async () => {
  const times: number[] = [];
  let version = 0;
  using reporter = new TwinReporter({
    bus,
    log: quiet,
    version: '1',
    desired: () => ({ version, state: 'applied', complaints: [] }),
    report: () => {
      times.push(Date.now());
      version += 1;
    },
    pace: { debounceMs: 1, burst: 3, minIntervalMs: 100, minVolatileIntervalMs: 60_000, pollMs: 60_000 },
  });
  while (times.length < 5) {
    reporter.changed();
    await sleep(5);
  }
  const [first = 0, second = 0, , fourth = 0, fifth = 0] = times;
  assert.ok(fourth - first >= 300, `${times}`);
  assert.ok(fifth - second >= 300, `${times}`);
});

test('a wall clock that is set back delays no report', async () => {
  let version = 0;
  using reporter = new TwinReporter({
    bus,
    log: quiet,
    version: '1',
    desired: () => ({ version, state: 'applied', complaints: [] }),
    report: () => {
      version += 1;
    },
    pace: { debounceMs: 1, burst: 1, minIntervalMs: 50, minVolatileIntervalMs: 60_000, pollMs: 60_000 },
  });
  await until(() => version === 1);
  const { now } = Date;
  const day = mock.method(Date, 'now', () => now() - 24 * 3_600_000);
  try {
    reporter.changed();
    await until(() => version === 2);
  } finally {
    day.mock.restore();
  }
});

test('while storage does not answer, the twin keeps the name, the mode and the parent of the layer', async () => {
  let isDown = false;
  const unavailable = () => Promise.reject(new Fault('unavailable', 'storage does not answer'));
  const failing = new Proxy(bus, {
    get: (target, name: keyof Bus) => {
      if (isDown && (name === 'get' || name === 'list' || name === 'call')) return unavailable;
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  using reporter = new TwinReporter({
    bus: failing,
    log: quiet,
    version: '1',
    desired: () => ({ state: 'applied', complaints: [] }),
    report: () => {},
  });
  const { name, mode, parent } = await reporter.makeReport();
  assert.deepEqual(parent, { url: 'https://up.example' });
  isDown = true;
  const during = await reporter.makeReport();
  assert.deepEqual([during.name, during.mode, during.parent], [name, mode, parent]);
  assert.deepEqual([during.connectionState, during.storage], ['Offline', undefined]);
});
