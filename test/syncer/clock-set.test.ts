import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LayerReport } from '#proto/status/layers-below.ts';
import type { WebhookStatus } from '#proto/status/webhooks.ts';
import { PassClock } from '../../services/syncer/coordinator/pass-clock.ts';
import { STALL_MS, Stall } from '../../services/syncer/coordinator/stall.ts';
import type { ParentLink, RequestOptions } from '../../services/syncer/link/http/parent-link.ts';
import { ParentActivation } from '../../services/syncer/link/parent/activation.ts';
import { ParentArriving } from '../../services/syncer/link/parent/arriving.ts';
import { ParentFeed } from '../../services/syncer/link/parent/parent-feed.ts';
import { ParentReports } from '../../services/syncer/link/parent/parent-reports.ts';
import { WebhookProgress } from '../../services/syncer/notify/webhook-progress.ts';
import { MIN_INTERVAL_MS, ReportClock } from '../../services/syncer/parent-tasks/layer-report.ts';
import { waits } from '../../services/syncer/reconcile/context/parking.ts';
import { PASS_RETRY } from '../../services/syncer/schedule/link-schedule.ts';
import { transfer } from '../../services/syncer/transfer/worker.ts';
import { quiet } from '../support/bus.ts';
import { SimulatedTime } from '../support/time/simulated-time.ts';

/** The clock of the day is set while something waits: it waits for as long as it would have, or for less. */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const { signal } = new AbortController();
const activation = { confirmed() {}, invalidate() {} };

let time: SimulatedTime;
beforeEach(() => {
  time = new SimulatedTime(Date.UTC(2030, 0, 1), () => 0);
});
afterEach(() => time[Symbol.dispose]());
const setBack = (ms = DAY) => time.set(time.now - ms);
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const pass = (ms: number) => time.goOn(ms, settled);

/** A parent that knows nothing of what it is asked. */
function stranger() {
  const asked: string[] = [];
  const request = async (path: string, { method = 'GET' }: RequestOptions) => {
    asked.push(`${method} ${path.split('?')[0]}`);
    return { statusCode: 404, headers: {}, body: Readable.from([]), from: new URL('http://x'), own: true };
  };
  return { asked, link: { azure: false, request } as unknown as ParentLink };
}

const ofTheParent: [string, (link: ParentLink) => () => Promise<unknown>][] = [
  [
    'of changes',
    (link) => {
      const feed = new ParentFeed(link, 'line', activation);
      return () => feed.changes(undefined, 0, signal);
    },
  ],
  [
    'of what comes',
    (link) => {
      const arriving = new ParentArriving(link);
      return () => arriving.list(undefined, 0, signal);
    },
  ],
  [
    'to take reports',
    (link) => {
      const reports = new ParentReports(link, 'line', activation);
      return () => reports.send({ made: 'm', after: 0, events: [], layers: [] }, signal);
    },
  ],
  [
    'for a place',
    (link) => {
      const activation = new ParentActivation(link, 'line');
      const confirmation = { identity: { instance: 'i' }, withinMs: 0, skipBackoff: false };
      return () => activation.confirm(confirmation, quiet, signal);
    },
  ],
];
for (const [what, asking] of ofTheParent) {
  test(`a parent that could not be asked ${what} is asked again after its rest`, async () => {
    const { asked, link } = stranger();
    const ask = asking(link);
    await ask();
    await ask();
    assert.equal(asked.length, 1);
    setBack();
    await pass(HOUR + SECOND);
    await ask();
    assert.equal(asked.length, 2);
  });
}

test('a pass that failed is tried again, after the longest time at most', async () => {
  const ticks: string[] = [];
  const times = () => ({ schedule: '0 4 * * *' });
  const clock = new PassClock({ times, tick: (cause) => ticks.push(cause), onCheck() {}, log: quiet });
  clock.start();
  clock.passEnded(false);
  setBack(2 * HOUR);
  await pass(PASS_RETRY.maxMs + 2 * MINUTE);
  clock.stop();
  assert.deepEqual(ticks, ['retry']);
});

test('a transfer ends when its window closes, though the clock is set forward', async () => {
  const told: string[] = [];
  const means = {
    bus: {
      publish: ({ type }: { type: string }) => told.push(type),
      call: () => new Promise((_, reject) => ended.signal.addEventListener('abort', reject)),
    },
    activity: { take: () => ({ reached() {}, waits() {}, [Symbol.dispose]() {} }) },
    ...{ by: 'syncer', log: quiet, signal, slots: { count: 1 } },
  };
  const ended = new AbortController();
  const digest = `sha256:${'a'.repeat(64)}`;
  const job = { repository: 'a', digest, size: 1, pass: 'p', direction: 'down', until: time.now + 8 * HOUR };
  const verdict = transfer(means as never, job as never);
  time.set(time.now + 8 * HOUR);
  await pass(2 * MINUTE);
  ended.abort();
  assert.equal(await verdict, 'done');
  assert.deepEqual(told, ['transfer.paused']);
});

test('a change that is parked is tried again, after the longest time at most', () => {
  const parked = { repository: 'a', reference: 'v1', since: 0, attempts: 1, code: 'c', reason: 'r' };
  const retry = time.now + MINUTE;
  assert.ok(waits({ ...parked, retry }, undefined, time.now));
  assert.ok(!waits({ ...parked, retry }, undefined, time.now - DAY));
});

test('that nothing moves is told in time', async () => {
  const told: (string | undefined)[] = [];
  const heard = new Map<string, (heard: { data: unknown }) => void>();
  const listen = ({ type }: { type: string }, handler: (heard: { data: unknown }) => void) => {
    heard.set(type, handler);
    return () => heard.delete(type);
  };
  using _stall = new Stall({ listen } as unknown as Bus, (reason) => told.push(reason));
  const say = (type: string, data: unknown = {}) => heard.get(type)?.({ data });
  const delay = (code = 'parent-unreachable') => say('transfer.delayed', { code, reason: 'ECONNREFUSED' });
  delay();
  await pass(STALL_MS - 1);
  assert.deepEqual(told, []);
  say('transfer.progressed');
  await pass(STALL_MS * 2);
  assert.deepEqual(told, [], 'what moved has made good what was delayed');
  delay('no-space');
  await pass(STALL_MS);
  assert.deepEqual(told, [], 'a full volume is not the link');
  setBack();
  delay();
  await pass(1);
  delay();
  await pass(STALL_MS);
  assert.deepEqual(told, ['ECONNREFUSED'], 'once');
  say('image.finished');
  say('transfer.finished');
  assert.deepEqual(told, ['ECONNREFUSED', undefined]);
});

test('how a webhook stands is written in time, and again where it could not be', async () => {
  const written: (number | undefined)[] = [];
  let away = false;
  const put = async (_state: unknown, _key: string, { behind }: WebhookStatus) => {
    if (away) throw new Error('the bus is away');
    written.push(behind);
  };
  const progress = new WebhookProgress({ put, publish() {} } as unknown as Bus, 'key', 'host', quiet);
  progress.behind(3, false);
  await pass(SECOND);
  setBack();
  progress.behind(2, false);
  await pass(SECOND);
  assert.deepEqual(written, [3, 2]);
  away = true;
  progress.behind(1, false);
  await pass(SECOND);
  away = false;
  await pass(2 * SECOND);
  assert.deepEqual(written, [3, 2, 1]);
  progress.end();
});

test('what has changed is told to the parent', () => {
  const clock = new ReportClock();
  const layers = (name: string): LayerReport[] => [{ path: [], name, mode: 'ReadOnly', at: 0 }];
  clock.sent(layers('one'), time.now);
  assert.ok(!clock.isDue(layers('two'), time.now + MIN_INTERVAL_MS - 1, true));
  assert.ok(clock.isDue(layers('two'), time.now - DAY, true));
});
