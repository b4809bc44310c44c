import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LinkStatus, linkChanged } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { LinkReport, type PassReport } from '../../../services/syncer/coordinator/link-report.ts';
import { ABANDONED } from '../../../services/syncer/coordinator/link-state.ts';
import { quiet } from '../../support/bus.ts';
import { failing, NOTHING, refused, unreachable } from './pass-results.ts';

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
let scope = 'one';
beforeEach(() => {
  scope = 'one';
  fake = new FakeBus();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-03-02T02:30:00Z') });
});
afterEach(() => mock.timers.reset());

const newReport = (isCoordinator = () => true, rate?: number) =>
  new LinkReport({
    bus: fake.bus,
    log: quiet,
    by: 'one',
    times: () => ({ schedule: '0 4 * * *' }),
    scope: () => scope,
    rate: () => rate,
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
  const linkReport = new LinkReport({
    bus: fake.bus,
    log,
    by: 'one',
    times,
    scope: () => 'scope',
    isCoordinator: () => true,
  });
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

test('what is known of the parent is as of the begin of the last pass that compared everything', async () => {
  const linkReport = newReport();
  await linkReport.takeOver();
  const began = Date.now();
  const pass = begun(linkReport);
  mock.timers.tick(60_000);
  const leftOut = { images: 1, children: 0, referrers: 1, first: [] };
  await pass.ended({ ...NOTHING, leftOut }, { isUnscoped: true, announced: true });
  assert.equal(fake.link?.comparedAt, began);
  assert.equal(fake.link?.lastSync, undefined);
  const others: [PassResult, isUnscoped: boolean][] = [
    [{ ...NOTHING, failed: 1 }, true],
    [{ ...NOTHING, ended: 'window' }, true],
    [NOTHING, false],
  ];
  for (const [result, isUnscoped] of others) {
    await begun(linkReport).ended(result, { isUnscoped, announced: true });
  }
  assert.equal(fake.link?.comparedAt, began);
});

test('what was compared is of the settings at its begin, and is followed by the coordinator that compared it', async () => {
  const first = newReport();
  await first.takeOver();
  const pass = begun(first);
  scope = 'two';
  await pass.ended(NOTHING, { isUnscoped: true, announced: true });
  assert.deepEqual([fake.link?.comparedScope, fake.link?.follows], ['one', true]);
  const second = newReport();
  await second.takeOver();
  const next = begun(second);
  await second.flushed();
  assert.deepEqual([fake.link?.comparedScope, fake.link?.follows], ['one', undefined]);
  await next.ended(NOTHING, { isUnscoped: true, announced: true });
  assert.deepEqual([fake.link?.comparedScope, fake.link?.follows], ['two', true]);
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

test('the rate of the link is known to the next coordinator, until that has measured another one', async () => {
  const first = newReport(undefined, 1_234.5);
  await first.takeOver();
  assert.equal(first.rate, undefined);
  await begun(first).ended(NOTHING, { isUnscoped: true, announced: true });
  const next = newReport();
  await next.takeOver();
  assert.equal(next.rate, 1_235);
  await begun(next).ended(NOTHING, { isUnscoped: true, announced: true });
  assert.equal(next.rate, 1_235);
});
