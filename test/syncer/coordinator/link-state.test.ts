import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LinkStatus, linkChanged } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { LinkReport, type PassReport } from '../../../services/syncer/coordinator/link-report.ts';
import {
  ABANDONED,
  hoursOf,
  type LinkState,
  stateAfter,
} from '../../../services/syncer/coordinator/link-state.ts';
import { quiet } from '../../support/bus.ts';

const NOTHING: PassResult = {
  ...{ pass: 'p', ok: true, taken: 0, dropped: 0, sent: 0, withdrawn: 0, failed: 0, parked: 0 },
  ...{ failures: [], ms: 1 },
};
const away = { code: 'parent-unreachable', reason: 'GET /v2/: ECONNREFUSED' };
const refused = { repository: 'app', tag: 'v1', code: 'parent-refused', reason: 'the parent answered 403' };
const failing = (...failures: PassResult['failures']): PassResult => ({
  ...NOTHING,
  ok: false,
  failed: failures.length,
  failures,
});
const moved = { repository: 'app', tag: 'v1', code: 'conflict', reason: 'it moved' };
const online: LinkState = { state: 'Online' };
const offline: LinkState = { state: 'Offline', detail: 'away' };
const unhealthy: LinkState = { state: 'Unhealthy', detail: 'something' };

const rows: [string, LinkState | undefined, PassResult, LinkState][] = [
  ['a good pass', offline, NOTHING, online],
  ['nobody answers', online, failing(away), { state: 'Offline', detail: away.reason, code: away.code }],
  [
    'the link went in the middle of a pass',
    online,
    failing({ ...away, repository: 'app', tag: 'v1' }, { ...away, repository: 'app', tag: 'v2' }),
    { state: 'Offline', detail: `app:v1: ${away.reason} (and 1 more)`, code: away.code },
  ],
  [
    'the parent refuses something, and then the link goes',
    online,
    failing(refused, away),
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403 (and 1 more)', code: refused.code },
  ],
  [
    'more failures than are told of',
    online,
    { ...failing(refused), failed: 30 },
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403 (and 29 more)', code: refused.code },
  ],
  [
    'a tag moved meanwhile',
    online,
    failing(moved),
    { state: 'Online', detail: 'app:v1: it moved', code: moved.code },
  ],
  [
    'a tag moved meanwhile, again',
    { state: 'Online', detail: 'app:v1: it moved', code: moved.code },
    failing(moved),
    { state: 'Unhealthy', detail: 'app:v1: it moved', code: moved.code },
  ],
  [
    'a change is parked',
    online,
    { ...NOTHING, ok: false, parked: 1, failures: [refused] },
    { state: 'Unhealthy', detail: 'app:v1: the parent answered 403; 1 parked', code: refused.code },
  ],
  [
    'something failed, changes are parked',
    online,
    { ...failing({ ...refused, tag: 'v2' }), parked: 2, failures: [refused, refused, refused] },
    {
      state: 'Unhealthy',
      detail: 'app:v1: the parent answered 403 (and 2 more); 2 parked',
      code: refused.code,
    },
  ],
  [
    'the link went, changes are parked',
    online,
    { ...failing(away), parked: 1, failures: [refused, away] },
    { state: 'Offline', detail: `${away.reason} (and 1 more); 1 parked`, code: away.code },
  ],
  ['the window closed, nothing failed', offline, { ...NOTHING, ok: false, ended: 'window' }, online],
  ['the window closed, something failed', offline, { ...failing(refused), ended: 'window' }, offline],
  [
    'the window closed before the parent had answered',
    offline,
    { ...NOTHING, ok: false, ended: 'window', unanswered: true },
    offline,
  ],
  [
    'the window closed on the first pass of all before the parent had answered',
    undefined,
    { ...NOTHING, ok: false, ended: 'window', unanswered: true },
    {
      state: 'Offline',
      detail: 'the pass ended before the parent answered',
      code: 'parent-unreachable',
    },
  ],
  ['a new configuration, something failed', online, { ...failing(away), ended: 'configuration' }, online],
  [
    'the window closed on the first pass of all, and something had failed',
    undefined,
    { ...failing(away), ended: 'window' },
    { state: 'Offline', detail: away.reason, code: away.code },
  ],
  [
    'changes are parked, and none of them is told',
    online,
    { ...NOTHING, ok: false, parked: 2 },
    { state: 'Unhealthy', detail: '2 parked', code: 'changes-parked' },
  ],
];
for (const [name, before, result, expected] of rows) {
  test(`${name}: ${expected.state}`, () => assert.deepEqual(stateAfter(before, result, true), expected));
}

test('a pass that looked at a little mends nothing that a whole one left undone, and shows that the parent answers', () => {
  assert.deepEqual(stateAfter(unhealthy, NOTHING, false), unhealthy);
  assert.deepEqual(stateAfter(offline, NOTHING, false), online);
  assert.equal(stateAfter(online, failing(refused), false).state, 'Unhealthy');
});

test('what is told of window and schedule', () => {
  const now = Date.parse('2026-03-02T02:30:00Z');
  const at = (text: string) => Date.parse(`2026-03-${text}Z`);
  assert.deepEqual(hoursOf({ schedule: '0 4 * * *' }, now), { next: at('02T04:00') });
  assert.deepEqual(hoursOf({ schedule: '0 2 * * *', windowMs: 3_600_000 }, now), {
    window: { open: true, until: at('02T03:00') },
    next: at('03T02:00'),
    live: true,
  });
  assert.deepEqual(hoursOf({ schedule: '0 4 * * *', windowMs: 3_600_000 }, now), {
    window: { open: false, until: at('02T04:00') },
    next: at('02T04:00'),
  });
});

/** A bus of one state, and of events that are said here. */
class Board {
  link: LinkStatus | undefined;
  away = false;
  readonly changes: [string | undefined, string][] = [];
  readonly #heard = new Map<string, (heard: { data: unknown }) => void>();
  readonly bus = {
    get: async () => this.link && { value: this.link, revision: 1 },
    put: async (_state: unknown, _key: string, value: LinkStatus) => {
      if (this.away) throw new Error('the bus is away');
      this.link = value;
    },
    publish: (_event: typeof linkChanged, { from, state }: { from?: string; state: string }) => {
      this.changes.push([from, state]);
    },
    listen: ({ type }: { type: string }, handler: (heard: { data: unknown }) => void) => {
      this.#heard.set(type, handler);
      return () => this.#heard.delete(type);
    },
  } as unknown as Bus;

  say(type: string, data: unknown = {}): void {
    this.#heard.get(type)?.({ data });
  }
}

let board: Board;
beforeEach(() => {
  board = new Board();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-03-02T02:30:00Z') });
});
afterEach(() => mock.timers.reset());

const report = (isCoordinator = () => true) =>
  new LinkReport({
    bus: board.bus,
    log: quiet,
    by: 'one',
    times: () => ({ schedule: '0 4 * * *' }),
    isCoordinator,
  });

/** A pass that is announced. */
function begun(one: LinkReport): PassReport {
  const pass = one.begin();
  pass.reportSyncing();
  return pass;
}

test('each change of the state is one event, and the state says since when', async () => {
  const one = report();
  await one.takeOver();
  const pass = begun(one);
  mock.timers.tick(1_000);
  await one.refresh();
  await pass.ended(NOTHING, { complete: true, announced: true });
  mock.timers.tick(1_000);
  await one.refresh();
  assert.deepEqual(board.changes, [
    [undefined, 'Syncing'],
    ['Syncing', 'Online'],
  ]);
  assert.equal(board.link?.since, Date.now() - 1_000);
  assert.equal(board.link?.lastSync, Date.now() - 1_000);
  assert.equal(board.link?.coordinator, 'one');
});

test('what could not be written is written with the next look, though nothing else has changed', async () => {
  const one = report();
  await one.takeOver();
  const pass = begun(one);
  await one.flushed();
  board.away = true;
  await pass.ended(NOTHING, { complete: true, announced: true });
  assert.equal(board.link?.state, 'Syncing');
  board.away = false;
  await one.refresh();
  assert.equal(board.link?.state, 'Online');
  assert.equal(board.changes.length, 2, 'the change is told once');
});

test('one that does not make the passes any more says nothing', async () => {
  let leads = true;
  const one = report(() => leads);
  await one.takeOver();
  const pass = begun(one);
  await one.flushed();
  leads = false;
  await one.reportStalled('the parent does not answer');
  await pass.ended(NOTHING, { complete: true, announced: true });
  assert.deepEqual(board.changes, [[undefined, 'Syncing']]);
  assert.equal(board.link?.state, 'Syncing');
});

test('what was so before a pass is known although the pass says Syncing and Offline in between', async () => {
  const one = report();
  await one.takeOver();
  await begun(one).ended(failing(refused), { complete: true, announced: true });
  const pass = begun(one);
  await one.reportStalled('nothing moves');
  await pass.ended({ ...failing(away), ended: 'window' }, { complete: true, announced: true });
  assert.equal(board.link?.state, 'Unhealthy');
  assert.match(board.link?.detail ?? '', /403/);
});

test('a parent that does not answer is Offline at once, unless a pass is under way that will say so', async () => {
  const one = report();
  await one.takeOver();
  const pass = begun(one);
  await one.reportUnreachable('EAI_AGAIN');
  assert.equal(board.link?.state, 'Syncing');
  await pass.ended(NOTHING, { complete: true, announced: true });
  await one.reportUnreachable('EAI_AGAIN');
  assert.deepEqual([board.link?.state, board.link?.detail], ['Offline', 'EAI_AGAIN']);
});

test('of two passes, the state is Syncing until the last one has ended', async () => {
  const one = report();
  await one.takeOver();
  const whole = begun(one);
  const scoped = begun(one);
  await scoped.ended(NOTHING, { complete: false, announced: true });
  assert.equal(board.link?.state, 'Syncing');
  await whole.ended(failing(refused), { complete: true, announced: true });
  assert.equal(board.link?.state, 'Unhealthy');
});

test('the log says once that the link is not well, and that it is well again', async () => {
  const said: string[] = [];
  const say = (fields: object, message: string) =>
    void said.push(`${message} ${(fields as { code?: string }).code ?? ''}`.trim());
  const log = { ...quiet, warn: say, info: say };
  const times = () => ({ schedule: '* * * * *' });
  const one = new LinkReport({ bus: board.bus, log, by: 'one', times, isCoordinator: () => true });
  await one.takeOver();
  const ends = async (result: PassResult) => begun(one).ended(result, { complete: true, announced: true });
  for (const result of [NOTHING, failing(away), failing(away), failing(refused), NOTHING, NOTHING]) {
    await ends(result);
  }
  assert.deepEqual(said, [
    'the link to the parent has a problem parent-unreachable',
    'the link to the parent has a problem parent-refused',
    'the link to the parent has recovered',
  ]);
});

test('selections that match nothing are said until one of them does', async () => {
  const one = report();
  await one.takeOver();
  const ends = (more: Partial<PassResult>) =>
    begun(one).ended({ ...NOTHING, ...more }, { complete: true, announced: true });
  await ends({ unmatched: ['none/*', 'gone'] });
  assert.deepEqual(board.link?.unmatched, ['none/*', 'gone']);
  await ends({ matched: ['gone'] });
  await one.refresh();
  assert.deepEqual(board.link?.unmatched, ['none/*']);
  await ends({ unmatched: [] });
  assert.equal(board.link?.unmatched, undefined);
});

test('a pass that nobody is told of is a figure, and the state stays as it was', async () => {
  const one = report();
  await one.takeOver();
  await begun(one).ended(NOTHING, { complete: true, announced: true });
  const announced = Date.now();
  mock.timers.tick(60_000);
  const { length } = board.changes;
  const pass = one.begin();
  await one.refresh();
  assert.equal(board.link?.state, 'Online');
  await pass.ended(NOTHING, { complete: true, announced: false });
  assert.deepEqual(board.link?.passes, { count: 2, last: Date.now(), announced });
  assert.equal(board.link?.lastSync, Date.now());
  assert.equal(board.changes.length, length);
});

test('a good pass that ended early, or looked at a little, is not the last good pass', async () => {
  const one = report();
  await one.takeOver();
  await begun(one).ended({ ...NOTHING, ended: 'window' }, { complete: true, announced: true });
  await begun(one).ended(NOTHING, { complete: false, announced: true });
  assert.equal(board.link?.state, 'Online');
  assert.equal(board.link?.lastSync, undefined);
});

test('the lease is gained while the window is closed: nothing is under way, and that is said', async () => {
  const one = report();
  await one.takeOver();
  await one.reportOutsideWindow(Date.parse('2026-03-02T04:00:00Z'));
  assert.equal(board.link?.state, 'Offline');
  assert.match(board.link?.detail ?? '', /2026-03-02T04:00/);
  board.link = { state: 'Syncing', since: 1, coordinator: 'another' };
  const two = report();
  await two.takeOver();
  await two.reportOutsideWindow(undefined);
  const { state, detail, code } = board.link as LinkStatus;
  assert.deepEqual({ state, detail, code }, ABANDONED);
  board.link = { state: 'Online', since: 1, coordinator: 'another', lastSync: 1 };
  const three = report();
  await three.takeOver();
  await three.reportOutsideWindow(undefined);
  assert.equal(board.link?.state, 'Online');
  assert.equal(board.link?.lastSync, 1);
});
