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

let said: string[];
let announcements: PassAnnouncements;
const bus = { publish: ({ type }: { type: string }) => void said.push(type) } as unknown as Bus;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  said = [];
  announcements = new PassAnnouncements(bus, 'one');
});
afterEach(() => mock.timers.reset());

/** What is said of a pass that comes out so. */
function pass(
  wish: Partial<PassRequest>,
  result: PassResult,
  during: (announce: () => void) => void = () => {},
) {
  said = [];
  using one = announcements.begin({ id: 'p', cause: 'schedule', ...wish }, () => said.push('syncing'));
  during(one.now);
  one.ended(result)?.();
  return said.join(' ');
}

const FOLLOWED = 'syncing pass.started pass.finished';
const AFTERWARDS = 'pass.started pass.finished';

test('a pass by the clock that found nothing is told of nowhere', () => {
  assert.equal(pass({}, NOTHING), '');
  assert.equal(pass({ cause: 'parent' }, NOTHING), '');
  assert.equal(pass({ cause: 'window' }, { ...NOTHING, ok: false, ended: 'window' }), '');
});

test('what somebody asked for, or may follow, is told of from its beginning', () => {
  assert.equal(pass({ asked: true }, NOTHING), FOLLOWED);
  for (const cause of ['start', 'configuration', 'change']) assert.equal(pass({ cause }, NOTHING), FOLLOWED);
});

test('so is one that does something, from there on, and one that takes long', () => {
  assert.equal(
    pass({}, { ...NOTHING, taken: 1 }, (announce) => announce()),
    FOLLOWED,
  );
  assert.equal(pass({}, { ...NOTHING, dropped: 1 }), AFTERWARDS);
  assert.equal(
    pass({}, NOTHING, () => mock.timers.tick(2_000)),
    FOLLOWED,
  );
});

test('a failure is told of once, whatever its words are, and so is its end', () => {
  assert.equal(pass({}, failing('parent-unreachable', 'ECONNREFUSED after 3 ms')), AFTERWARDS);
  assert.equal(pass({}, failing('parent-unreachable', 'ECONNREFUSED after 4 ms')), '');
  assert.equal(pass({}, failing('parent-refused', 'answered 403')), AFTERWARDS);
  assert.equal(pass({ scope: new Map() }, NOTHING), AFTERWARDS);
  assert.equal(
    pass({}, failing('parent-refused', 'answered 403')),
    '',
    'one that looked at a little ended nothing',
  );
  assert.equal(pass({}, NOTHING), AFTERWARDS);
  assert.equal(pass({}, NOTHING), '');
});
