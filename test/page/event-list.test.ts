import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addEntries,
  type Entry,
  emptyList,
  entryOfEvent,
  entryOfGap,
  MAX_ENTRIES,
  Waiting,
} from '../../page/state/event-list.ts';
import { endText, eventText, gapText, toneOfEvent } from '../../page/state/event-text.ts';
import { event } from './content.ts';

const entries = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => entryOfEvent(event(from + index)));

test('the newest event is first, and one that arrives again is ignored', () => {
  const once = addEntries(emptyList, entries(1, 3));
  const twice = addEntries(once, entries(2, 3));
  assert.deepEqual(
    twice.entries.map(({ key }) => key),
    ['e4', 'e3', 'e2', 'e1'],
  );
  assert.equal(twice.received, 4);
  assert.equal(addEntries(twice, entries(1, 4)), twice);
});

test('the list is bounded, and counts what it received', () => {
  let list = emptyList;
  for (let batch = 0; batch < 60; batch += 1) list = addEntries(list, entries(1 + batch * 1_000, 1_000));
  assert.equal(list.entries.length, MAX_ENTRIES);
  assert.equal(list.received, 60_000);
  assert.equal(list.dropped, 60_000 - MAX_ENTRIES);
  assert.equal(list.entries[0]?.key, 'e60000');
});

test('a gap stands where events are missing', () => {
  const list = addEntries(emptyList, [
    ...entries(1, 1),
    entryOfGap({ from: 2, to: 9, reason: 'slow' }),
    ...entries(10, 1),
  ]);
  assert.deepEqual(
    list.entries.map(({ key }) => key),
    ['e10', 'g2-9', 'e1'],
  );
  assert.match(
    gapText({ from: 2, to: 9, reason: 'expired' }),
    /^8 events missing \(2 to 9\): their retention ended$/,
  );
  assert.match(gapText({ from: 5, reason: 'lost' }), /^Events missing from 5 on: /);
});

test('after the loss of the history, sequences begin again', () => {
  const before = addEntries(emptyList, entries(500, 3));
  const after = addEntries(before, [entryOfGap({ from: 503, to: 0, reason: 'lost' }), ...entries(1, 2)]);
  assert.deepEqual(
    after.entries.map(({ key }) => key),
    ['e2', 'e1', 'g503-0'],
  );
  assert.equal(after.last, 2);
  assert.match(gapText({ from: 503, to: 0, reason: 'lost' }), /^Events missing from 503 on: /);
});

test('an event is a line of any version: unknown and malformed fields are not shown', () => {
  assert.equal(
    eventText({ type: 'tag.moved', data: { repository: 'line/web', tag: '2', account: 'ci' } }),
    'line/web:2 · by ci',
  );
  assert.equal(
    eventText({ type: 'link.changed', data: { from: 'Syncing', state: 'Online' } }),
    'Syncing → Online',
  );
  const transfer = { repository: 'line/web', digest: `sha256:${'ab'.repeat(32)}`, size: 50_000_000 };
  const delta = { digest: `sha256:${'cd'.repeat(32)}`, size: 3_000_000 };
  const lineOf = (type: string, more: object) =>
    eventText({ type, data: { ...transfer, ...more } }).replace(/^[^·]+· /, '');
  assert.equal(lineOf('transfer.progressed', { done: 1_000_000, delta }), '1.0 MB of 3.0 MB for 50.0 MB');
  assert.equal(
    lineOf('transfer.finished', { delta, saved: { by: 'delta', bytes: 47_000_000 } }),
    '3.0 MB instead of 50.0 MB',
  );
  assert.equal(
    lineOf('delta.made', { to: transfer.digest, toSize: 50_000_000, size: 3_000_000 }),
    '3.0 MB instead of 50.0 MB',
  );
  assert.equal(
    lineOf('delta.mismatched', { to: transfer.digest, toSize: 50_000_000, size: undefined }),
    '50.0 MB',
  );
  assert.equal(toneOfEvent({ type: 'delta.failed', data: { poor: true } }), 'quiet');
  assert.equal(toneOfEvent({ type: 'delta.mismatched', data: {} }), 'warning');
  assert.equal(eventText({ type: 'pass.finished', data: { ok: true } }), 'no changes');
  for (const data of [null, undefined, 4, 'text', { tag: 4, repository: {} }]) {
    assert.equal(eventText({ type: 'later.version', data }), '');
    assert.equal(toneOfEvent({ type: 'later.version', data }), 'quiet');
  }
  assert.equal(toneOfEvent({ type: 'image.failed', data: {} }), 'error');
  assert.equal(toneOfEvent({ type: 'image.conflict', data: {} }), 'warning');
  assert.equal(toneOfEvent({ type: 'link.changed', data: { state: 'Offline' } }), 'error');
});

const message = (sequence: number) =>
  JSON.stringify({ sequence, id: `i${sequence}`, type: 'tag.moved', time: 't', data: {} });
const sequencesOf = (arrived: readonly Entry[]) =>
  arrived.map((entry) => ('event' in entry ? entry.event.sequence : entry.gap.reason));

test('of the messages that wait, the last ones are shown, and all are counted', () => {
  const waiting = new Waiting();
  for (let sequence = 1; sequence <= 10_000; sequence += 1) waiting.add('event', message(sequence));
  const { arrived, skipped } = waiting.take();
  assert.deepEqual([arrived.length, skipped], [MAX_ENTRIES, 10_000 - MAX_ENTRIES]);
  const list = addEntries(emptyList, arrived, skipped);
  assert.deepEqual([list.last, list.received, list.dropped], [10_000, 10_000, 10_000 - MAX_ENTRIES]);
  assert.deepEqual(waiting.take(), { arrived: [], skipped: 0 });
});

test('the start of another stream is kept, however many messages follow it', () => {
  const waiting = new Waiting();
  waiting.add('event', message(9_000));
  waiting.add('gap', JSON.stringify({ from: 9_001, reason: 'lost' }));
  for (let sequence = 1; sequence <= 5_000; sequence += 1) waiting.add('event', message(sequence));
  waiting.add('gap', JSON.stringify({ from: 5_001, to: 5_002, reason: 'slow' }));
  waiting.add('event', message(5_003));
  const { arrived } = waiting.take();
  assert.deepEqual(sequencesOf(arrived.slice(0, 1)), ['lost']);
  assert.deepEqual(sequencesOf(arrived.slice(-3)), [5_000, 'slow', 5_003]);
  const before = addEntries(emptyList, [entryOfEvent(JSON.parse(message(8_999)))]);
  assert.equal(addEntries(before, arrived).last, 5_003);
});

test('a link that waits is not one that is lost, and a pass says why it ended', () => {
  const tone = (code: string, state = 'Offline') =>
    toneOfEvent({ type: 'link.changed', data: { state, code } });
  assert.deepEqual(
    ['window-closed', 'paused', 'parent-unreachable'].map((code) => tone(code)),
    ['quiet', 'warning', 'error'],
  );
  assert.deepEqual(
    [tone('', 'Unhealthy'), tone('', 'Syncing'), tone('', 'Online')],
    ['error', 'busy', 'good'],
  );
  assert.equal(toneOfEvent({ type: 'link.paused', data: {} }), 'warning');
  assert.equal(toneOfEvent({ type: 'pass.finished', data: { ok: false } }), 'warning');
  assert.deepEqual(
    [{ ended: 'window' }, { ended: 'configuration' }, { ended: 'paused' }, { failed: 1 }, {}].map((result) =>
      endText({ failed: 0, ...result } as Parameters<typeof endText>[0]),
    ),
    ['Window closed', 'Configuration changed', 'Link paused', 'Failed in part', 'Incomplete'],
  );
});
