import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PassResult } from '#proto/sync/passes.ts';
import {
  type LinkState,
  scheduleFields,
  stateAfter,
} from '../../../services/syncer/coordinator/link-state.ts';
import { failing, NOTHING, refused, unreachable } from './pass-results.ts';

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
