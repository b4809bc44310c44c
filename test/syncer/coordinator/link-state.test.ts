import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LinkStatus, linkChanged } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { LinkReport, type PassReport } from '../../../services/syncer/coordinator/link-report.ts';
import {
  ABANDONED,
  type LinkState,
  scheduleFields,
  stateAfter,
} from '../../../services/syncer/coordinator/link-state.ts';
import { quiet } from '../../support/bus.ts';

const NOTHING: PassResult = {
  ...{ pass: 'p', ok: true, taken: 0, dropped: 0, sent: 0, withdrawn: 0, failed: 0, parked: 0 },
  ...{ failures: [], ms: 1 },
};
const unreachable = { code: 'parent-unreachable', reason: 'GET /v2/: ECONNREFUSED' };
const refused = { repository: 'app', tag: 'v1', code: 'parent-refused', reason: 'the parent answered 403' };
const failing = (...failures: PassResult['failures']): PassResult => ({
  ...NOTHING,
  ok: false,
  failed: failures.length,
  failures,
});
const moved = { repository: 'app', tag: 'v1', code: 'conflict', reason: 'it moved' };
const online: LinkState = { state: 'Online' };
const offline: LinkState = { state: 'Offline', detail: 'unreachable' };
const unhealthy: LinkState = { state: 'Unhealthy', detail: 'something' };

const rows: [string, LinkState | undefined, PassResult, LinkState][] = [
  ['after a good pass', offline, NOTHING, online],
  [
    'when the parent does not answer',
    online,
    failing(unreachable),
    { state: 'Offline', detail: unreachable.reason, code: unreachable.code },
  ],
  [
    'when the link fails during a pass',
    online,
    failing(
      { ...unreachable, repository: 'app', tag: 'v1' },
      { ...unreachable, repository: 'app', tag: 'v2' },
    ),
    { state: 'Offline', detail: `app:v1: ${unreachable.reason} (and 1 more)`, code: unreachable.code },
  ],
  [
    'when the parent answers one image with an error',
    online,
    failing({ ...refused, code: 'parent-unreachable', reason: 'the parent answered 500', status: 500 }),
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 500', code: unreachable.code },
  ],
  [
    'when the parent answers the list of tags with an error',
    online,
    failing({
      repository: 'app',
      code: 'parent-unreachable',
      reason: 'the parent answered 500',
      status: 500,
    }),
    { state: 'Offline', detail: 'app: the parent answered 500', code: unreachable.code },
  ],
  [
    'when the parent refuses a change, and then the link fails',
    online,
    failing(refused, unreachable),
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403 (and 1 more)', code: refused.code },
  ],
  [
    'after more failures than are listed',
    online,
    { ...failing(refused), failed: 30 },
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403 (and 29 more)', code: refused.code },
  ],
  [
    'after one conflict',
    online,
    failing(moved),
    { state: 'Online', detail: 'app:v1: it moved', code: moved.code },
  ],
  [
    'after a second conflict in a row',
    { state: 'Online', detail: 'app:v1: it moved', code: moved.code },
    failing(moved),
    { state: 'Unhealthy', detail: 'app:v1: it moved', code: moved.code },
  ],
  [
    'with a parked change',
    online,
    { ...NOTHING, ok: false, parked: 1, failures: [refused] },
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403; 1 parked', code: refused.code },
  ],
  [
    'after a failure, with parked changes',
    online,
    { ...failing({ ...refused, tag: 'v2' }), parked: 2, failures: [refused, refused, refused] },
    {
      state: 'Unhealthy',
      detail: 'app:v1: the parent answered 403 (and 2 more); 2 parked',
      code: refused.code,
    },
  ],
  [
    'when the link fails, with parked changes',
    online,
    { ...failing(unreachable), parked: 1, failures: [refused, unreachable] },
    { state: 'Offline', detail: `${unreachable.reason} (and 1 more); 1 parked`, code: unreachable.code },
  ],
  ['when the window closed and nothing failed', offline, { ...NOTHING, ok: false, ended: 'window' }, online],
  ['when the window closed after a failure', offline, { ...failing(refused), ended: 'window' }, offline],
  [
    'when the window closed before the parent answered',
    offline,
    { ...NOTHING, ok: false, ended: 'window', unanswered: true },
    offline,
  ],
  [
    'when the window closed during the very first pass before the parent answered',
    undefined,
    { ...NOTHING, ok: false, ended: 'window', unanswered: true },
    {
      state: 'Offline',
      detail: 'the pass ended before the parent answered',
      code: 'parent-unreachable',
    },
  ],
  [
    'when a new configuration ended the pass after a failure',
    online,
    { ...failing(unreachable), ended: 'configuration' },
    online,
  ],
  [
    'when the window closed during the very first pass after a failure',
    undefined,
    { ...failing(unreachable), ended: 'window' },
    { state: 'Offline', detail: unreachable.reason, code: unreachable.code },
  ],
  [
    'with parked changes of which none is listed',
    online,
    { ...NOTHING, ok: false, parked: 2 },
    { state: 'Unhealthy', detail: '2 parked', code: 'changes-parked' },
  ],
];
for (const [name, before, result, expected] of rows) {
  test(`${name}, the link is ${expected.state}`, () =>
    assert.deepEqual(stateAfter(before, result, true), expected));
}

test('a good scoped pass ends Offline, but not the Unhealthy that an unscoped pass left', () => {
  assert.deepEqual(stateAfter(unhealthy, NOTHING, false), unhealthy);
  assert.deepEqual(stateAfter(offline, NOTHING, false), online);
  assert.equal(stateAfter(online, failing(refused), false).state, 'Unhealthy');
});

test('the status has the window, the next time of the schedule, and whether changes are pushed at once', () => {
  const now = Date.parse('2026-03-02T02:30:00Z');
  const at = (text: string) => Date.parse(`2026-03-${text}Z`);
  assert.deepEqual(scheduleFields({ schedule: '0 4 * * *' }, now), { next: at('02T04:00') });
  assert.deepEqual(scheduleFields({ schedule: '0 2 * * *', windowMs: 3_600_000 }, now), {
    window: { open: true, until: at('02T03:00') },
    next: at('03T02:00'),
    live: true,
  });
  assert.deepEqual(scheduleFields({ schedule: '0 4 * * *', windowMs: 3_600_000 }, now), {
    window: { open: false, until: at('02T04:00') },
    next: at('02T04:00'),
  });
});

/** A bus with one state and the events that a test publishes. */
class FakeBus {
  link: LinkStatus | undefined;
  unavailable = false;
  readonly changes: [string | undefined, string][] = [];
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  readonly bus = {
    get: async () => this.link && { value: this.link, revision: 1 },
    put: async (_state: unknown, _key: string, value: LinkStatus) => {
      if (this.unavailable) throw new Error('the bus is unavailable');
      this.link = value;
    },
    publish: (_event: typeof linkChanged, { from, state }: { from?: string; state: string }) => {
      this.changes.push([from, state]);
    },
    listen: ({ type }: { type: string }, handler: (event: { data: unknown }) => void) => {
      this.#listeners.set(type, handler);
      return () => this.#listeners.delete(type);
    },
  } as unknown as Bus;

  emit(type: string, data: unknown = {}): void {
    this.#listeners.get(type)?.({ data });
  }
}

let fake: FakeBus;
beforeEach(() => {
  fake = new FakeBus();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-03-02T02:30:00Z') });
});
afterEach(() => mock.timers.reset());

const newReport = (isCoordinator = () => true) =>
  new LinkReport({
    bus: fake.bus,
    log: quiet,
    by: 'one',
    times: () => ({ schedule: '0 4 * * *' }),
    isCoordinator,
  });

/** Begins a pass that is announced. */
function begun(linkReport: LinkReport): PassReport {
  const pass = linkReport.begin();
  pass.reportSyncing();
  return pass;
}

test('each change of the state publishes one event, and the status has the time of the change', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const pass = begun(linkReport);
  mock.timers.tick(1_000);
  await linkReport.refresh();
  await pass.ended(NOTHING, { isUnscoped: true, announced: true });
  mock.timers.tick(1_000);
  await linkReport.refresh();
  assert.deepEqual(fake.changes, [
    [undefined, 'Syncing'],
    ['Syncing', 'Online'],
  ]);
  assert.equal(fake.link?.since, Date.now() - 1_000);
  assert.equal(fake.link?.lastSync, Date.now() - 1_000);
  assert.equal(fake.link?.coordinator, 'one');
});

test('a status that could not be written is written at the next refresh, although nothing else has changed', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const pass = begun(linkReport);
  await linkReport.flushed();
  fake.unavailable = true;
  await pass.ended(NOTHING, { isUnscoped: true, announced: true });
  assert.equal(fake.link?.state, 'Syncing');
  fake.unavailable = false;
  await linkReport.refresh();
  assert.equal(fake.link?.state, 'Online');
  assert.equal(fake.changes.length, 2, 'the change is published once');
});

test('a syncer that is no longer the coordinator publishes nothing', async () => {
  let isCoordinator = true;
  const linkReport = newReport(() => isCoordinator);
  await linkReport.takeOver();
  const pass = begun(linkReport);
  await linkReport.flushed();
  isCoordinator = false;
  await linkReport.reportStalled('the parent does not answer');
  await pass.ended(NOTHING, { isUnscoped: true, announced: true });
  assert.deepEqual(fake.changes, [[undefined, 'Syncing']]);
  assert.equal(fake.link?.state, 'Syncing');
});

test('an interrupted pass restores the state before it, although it reported Syncing and Offline meanwhile', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  await begun(linkReport).ended(failing(refused), { isUnscoped: true, announced: true });
  const pass = begun(linkReport);
  await linkReport.reportStalled('nothing moves');
  await pass.ended({ ...failing(unreachable), ended: 'window' }, { isUnscoped: true, announced: true });
  assert.equal(fake.link?.state, 'Unhealthy');
  assert.match(fake.link?.detail ?? '', /403/);
});

test('an unreachable parent makes the link Offline at once, unless a pass is running, which reports it itself', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const pass = begun(linkReport);
  await linkReport.reportUnreachable('EAI_AGAIN');
  assert.equal(fake.link?.state, 'Syncing');
  await pass.ended(NOTHING, { isUnscoped: true, announced: true });
  await linkReport.reportUnreachable('EAI_AGAIN');
  assert.deepEqual([fake.link?.state, fake.link?.detail], ['Offline', 'EAI_AGAIN']);
});

test('the state is Syncing until the last of two passes has ended', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const unscoped = begun(linkReport);
  const scoped = begun(linkReport);
  await scoped.ended(NOTHING, { isUnscoped: false, announced: true });
  assert.equal(fake.link?.state, 'Syncing');
  await unscoped.ended(failing(refused), { isUnscoped: true, announced: true });
  assert.equal(fake.link?.state, 'Unhealthy');
});

test('a problem of the link is logged once, and so is the recovery', async () => {
  const lines: string[] = [];
  const record = (fields: object, message: string) =>
    void lines.push(`${message} ${(fields as { code?: string }).code ?? ''}`.trim());
  const log = { ...quiet, warn: record, info: record };
  const times = () => ({ schedule: '* * * * *' });
  const linkReport = new LinkReport({ bus: fake.bus, log, by: 'one', times, isCoordinator: () => true });
  await linkReport.takeOver();
  const runPass = async (result: PassResult) =>
    begun(linkReport).ended(result, { isUnscoped: true, announced: true });
  for (const result of [
    NOTHING,
    failing(unreachable),
    failing(unreachable),
    failing(refused),
    NOTHING,
    NOTHING,
  ]) {
    await runPass(result);
  }
  assert.deepEqual(lines, [
    'the link to the parent has a problem parent-unreachable',
    'the link to the parent has a problem parent-refused',
    'the link to the parent has recovered',
  ]);
});

test('selections that match nothing are listed in the status until they match', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const runPass = (more: Partial<PassResult>) =>
    begun(linkReport).ended({ ...NOTHING, ...more }, { isUnscoped: true, announced: true });
  await runPass({ unmatched: ['none/*', 'old'] });
  assert.deepEqual(fake.link?.unmatched, ['none/*', 'old']);
  await runPass({ matched: ['old'] });
  await linkReport.refresh();
  assert.deepEqual(fake.link?.unmatched, ['none/*']);
  await runPass({ unmatched: [] });
  assert.equal(fake.link?.unmatched, undefined);
});

test('a pass that is not announced is only counted, and the state does not change', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  await begun(linkReport).ended(NOTHING, { isUnscoped: true, announced: true });
  const announced = Date.now();
  mock.timers.tick(60_000);
  const { length } = fake.changes;
  const pass = linkReport.begin();
  await linkReport.refresh();
  assert.equal(fake.link?.state, 'Online');
  await pass.ended(NOTHING, { isUnscoped: true, announced: false });
  assert.deepEqual(fake.link?.passes, { count: 2, last: Date.now(), announced });
  assert.equal(fake.link?.lastSync, Date.now());
  assert.equal(fake.changes.length, length);
});

test('a good pass that ended early, or was scoped, does not set the time of the last sync', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  await begun(linkReport).ended({ ...NOTHING, ended: 'window' }, { isUnscoped: true, announced: true });
  await begun(linkReport).ended(NOTHING, { isUnscoped: false, announced: true });
  assert.equal(fake.link?.state, 'Online');
  assert.equal(fake.link?.lastSync, undefined);
});

test('a new coordinator outside the window replaces a Syncing that an earlier one left, and keeps Online', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  await linkReport.reportOutsideWindow(Date.parse('2026-03-02T04:00:00Z'));
  assert.equal(fake.link?.state, 'Offline');
  assert.match(fake.link?.detail ?? '', /2026-03-02T04:00/);
  fake.link = { state: 'Syncing', since: 1, coordinator: 'another' };
  const second = newReport();
  await second.takeOver();
  await second.reportOutsideWindow(undefined);
  const { state, detail, code } = fake.link as LinkStatus;
  assert.deepEqual({ state, detail, code }, ABANDONED);
  fake.link = { state: 'Online', since: 1, coordinator: 'another', lastSync: 1 };
  const third = newReport();
  await third.takeOver();
  await third.reportOutsideWindow(undefined);
  assert.equal(fake.link?.state, 'Online');
  assert.equal(fake.link?.lastSync, 1);
});
