import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { PassAnnouncements } from '../../../services/syncer/reconcile/context/announcement.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';

const NOTHING: PassResult = {
  ...{ pass: 'p', ok: true, taken: 0, dropped: 0, sent: 0, withdrawn: 0, failed: 0, parked: 0 },
  ...{ failures: [], ms: 1 },
};
const failing = (code: string, reason: string): PassResult => ({
  ...NOTHING,
  ok: false,
  failed: 1,
  failures: [{ code, reason }],
});

let published: string[];
let announcements: PassAnnouncements;
const bus = { publish: ({ type }: { type: string }) => void published.push(type) } as unknown as Bus;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  published = [];
  announcements = new PassAnnouncements(bus, 'one');
});
afterEach(() => mock.timers.reset());

/** @returns what is published about a pass with this request and result */
function pass(
  request: Partial<PassRequest>,
  result: PassResult,
  during: (announce: () => void) => void = () => {},
) {
  published = [];
  using announcement = announcements.begin({ id: 'p', cause: 'schedule', ...request }, () =>
    published.push('syncing'),
  );
  during(announcement.now);
  announcement.ended(result)?.();
  return published.join(' ');
}

const ALL = 'syncing pass.started pass.finished';
const AT_THE_END = 'pass.started pass.finished';

test('a scheduled pass that changes nothing is not announced', () => {
  assert.equal(pass({}, NOTHING), '');
  assert.equal(pass({ cause: 'parent' }, NOTHING), '');
  assert.equal(pass({ cause: 'window' }, { ...NOTHING, ok: false, ended: 'window' }), '');
});

test('a pass that a person requested, or may follow, is announced when it begins', () => {
  assert.equal(pass({ asked: true }, NOTHING), ALL);
  for (const cause of ['start', 'configuration', 'change']) assert.equal(pass({ cause }, NOTHING), ALL);
});

test('a pass is announced at its first change, when it takes long, or at its end if it changed something', () => {
  assert.equal(
    pass({}, { ...NOTHING, taken: 1 }, (announce) => announce()),
    ALL,
  );
  assert.equal(pass({}, { ...NOTHING, dropped: 1 }), AT_THE_END);
  assert.equal(
    pass({}, NOTHING, () => mock.timers.tick(2_000)),
    ALL,
  );
});

test('a failure is announced once, whatever its reason says, and so is the recovery from it', () => {
  assert.equal(pass({}, failing('parent-unreachable', 'ECONNREFUSED after 3 ms')), AT_THE_END);
  assert.equal(pass({}, failing('parent-unreachable', 'ECONNREFUSED after 4 ms')), '');
  assert.equal(pass({}, failing('parent-refused', 'answered 403')), AT_THE_END);
  assert.equal(pass({ scope: new Map() }, NOTHING), AT_THE_END);
  assert.equal(
    pass({}, failing('parent-refused', 'answered 403')),
    '',
    'a scoped pass does not end a failure',
  );
  assert.equal(pass({}, NOTHING), AT_THE_END);
  assert.equal(pass({}, NOTHING), '');
});
