import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LayerReport } from '#proto/status/layers-below.ts';
import type { WebhookStatus } from '#proto/status/webhooks.ts';
import { PassClock } from '../../services/syncer/coordinator/pass-clock.ts';
import { STALL_MS, Stall } from '../../services/syncer/coordinator/stall.ts';
import { TransferCounters } from '../../services/syncer/counters/transfer-counters.ts';
import type { ParentLink, RequestOptions } from '../../services/syncer/link/http/parent-link.ts';
import { ParentActivation } from '../../services/syncer/link/terrace/activation.ts';
import { ParentArriving } from '../../services/syncer/link/terrace/arriving.ts';
import { ParentFeed } from '../../services/syncer/link/terrace/parent-feed.ts';
import { ParentReports } from '../../services/syncer/link/terrace/parent-reports.ts';
import { WebhookProgress } from '../../services/syncer/notify/webhook-progress.ts';
import { MIN_INTERVAL_MS, ReportClock } from '../../services/syncer/parent-tasks/layer-report.ts';
import { waits } from '../../services/syncer/reconcile/context/parking.ts';
import { PASS_RETRY } from '../../services/syncer/schedule/link-schedule.ts';
import { runDownload } from '../../services/syncer/transfer/worker.ts';
import { quiet } from '../support/bus.ts';
import { SimulatedTime } from '../support/time/simulated-time.ts';

/** The wall clock is set during a wait: the wait takes the same time, or less. */
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
const setBack = (ms = DAY) => time.setWallClock(time.now - ms);
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const pass = (ms: number) => time.advance(ms, settled);

/** A parent that answers every request with 404. */
function plainParent() {
  const requests: string[] = [];
  const request = async (path: string, { method = 'GET' }: RequestOptions) => {
    requests.push(`${method} ${path.split('?')[0]}`);
    return { statusCode: 404, headers: {}, body: Readable.from([]), from: new URL('http://x'), own: true };
  };
  return { requests, link: { azure: false, request } as unknown as ParentLink };
}

const parentRequests: [string, (link: ParentLink) => () => Promise<unknown>][] = [
  [
    'a change feed',
    (link) => {
      const feed = new ParentFeed(link, 'line', activation);
      return () => feed.changes(undefined, 0, signal);
    },
  ],
  [
    'a list of arriving content',
    (link) => {
      const arriving = new ParentArriving(link);
      return () => arriving.list(undefined, 0, signal);
    },
  ],
  [
    'an API for reports',
    (link) => {
      const reports = new ParentReports(link, 'line', activation);
      return () => reports.send({ made: 'm', after: 0, events: [], layers: [] }, signal);
    },
  ],
  [
    'an API for activation',
    (link) => {
      const activation = new ParentActivation(link, 'line');
      const confirmation = { identity: { instance: 'i' }, withinMs: 0, skipBackoff: false };
      return () => activation.confirm(confirmation, quiet, signal);
    },
  ],
];
for (const [api, requester] of parentRequests) {
  test(`a parent without ${api} is asked again after the recheck interval`, async () => {
    const { requests, link } = plainParent();
    const request = requester(link);
    await request();
    await request();
    assert.equal(requests.length, 1);
    setBack();
    await pass(HOUR + SECOND);
    await request();
    assert.equal(requests.length, 2);
  });
}

test('a failed pass is retried within the max backoff after the clock is set back', async () => {
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

test('a transfer ends when its window closes, also after the clock is set forward', async () => {
  const published: string[] = [];
  const deps = {
    bus: {
      publish: ({ type }: { type: string }) => published.push(type),
      call: () => new Promise((_, reject) => ended.signal.addEventListener('abort', reject)),
    },
    activity: {
      counters: new TransferCounters(),
      begin: () => ({ crosses() {}, reached() {}, copied() {}, waits() {}, [Symbol.dispose]() {} }),
    },
    ...{ by: 'syncer', log: quiet, signal, slots: { count: 1 } },
  };
  const ended = new AbortController();
  const digest = `sha256:${'a'.repeat(64)}`;
  const job = { repository: 'a', digest, size: 1, pass: 'p', direction: 'down', until: time.now + 8 * HOUR };
  const verdict = runDownload(deps as never, job as never);
  time.setWallClock(time.now + 8 * HOUR);
  await pass(2 * MINUTE);
  ended.abort();
  assert.equal(await verdict, 'done');
  assert.deepEqual(published, ['transfer.paused']);
});

test('a parked change is retried within the max backoff after the clock is set back', () => {
  const parked = { repository: 'a', reference: 'v1', since: 0, attempts: 1, code: 'c', reason: 'r' };
  const retry = time.now + MINUTE;
  assert.ok(waits({ ...parked, retry }, undefined, time.now));
  assert.ok(!waits({ ...parked, retry }, undefined, time.now - DAY));
});

test('a stall is reported once and on time after the clock is set back', async () => {
  const reported: (string | undefined)[] = [];
  const listeners = new Map<string, (event: { data: unknown }) => void>();
  const listen = ({ type }: { type: string }, handler: (event: { data: unknown }) => void) => {
    listeners.set(type, handler);
    return () => listeners.delete(type);
  };
  using _stall = new Stall({ listen } as unknown as Bus, (reason) => reported.push(reason));
  const publish = (type: string, data: unknown = {}) => listeners.get(type)?.({ data });
  const delay = (code = 'parent-unreachable') =>
    publish('transfer.delayed', { code, reason: 'ECONNREFUSED' });
  delay();
  await pass(STALL_MS - 1);
  assert.deepEqual(reported, []);
  publish('transfer.progressed');
  await pass(STALL_MS * 2);
  assert.deepEqual(reported, [], 'progress after the delay resets the stall');
  delay('no-space');
  await pass(STALL_MS);
  assert.deepEqual(reported, [], 'a full volume is no stall of the link');
  setBack();
  delay();
  await pass(1);
  delay();
  await pass(STALL_MS);
  assert.deepEqual(reported, ['ECONNREFUSED'], 'once');
  publish('image.finished');
  publish('transfer.finished');
  assert.deepEqual(reported, ['ECONNREFUSED', undefined]);
});

test('a webhook status is written on time after the clock is set back, and a failed write is retried', async () => {
  const written: (number | undefined)[] = [];
  let unavailable = false;
  const put = async (_state: unknown, _key: string, { behind }: WebhookStatus) => {
    if (unavailable) throw new Error('the bus is unavailable');
    written.push(behind);
  };
  const progress = new WebhookProgress({ put, publish() {} } as unknown as Bus, 'key', 'host', quiet);
  progress.behind(3, false);
  await pass(SECOND);
  setBack();
  progress.behind(2, false);
  await pass(SECOND);
  assert.deepEqual(written, [3, 2]);
  unavailable = true;
  progress.behind(1, false);
  await pass(SECOND);
  unavailable = false;
  await pass(2 * SECOND);
  assert.deepEqual(written, [3, 2, 1]);
  progress.end();
});

test('a report of a changed status is due after the clock is set back', () => {
  const clock = new ReportClock();
  const layers = (name: string): LayerReport[] => [{ path: [], name, mode: 'ReadOnly', at: 0 }];
  clock.sent(layers('one'), time.now);
  assert.ok(!clock.isDue(layers('two'), time.now + MIN_INTERVAL_MS - 1, true));
  assert.ok(clock.isDue(layers('two'), time.now - DAY, true));
});
