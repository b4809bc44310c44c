import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_BEHIND } from '#proto/sync/behind.ts';
import { BehindBook } from '../../../../services/syncer/reconcile/behind/behind-book.ts';

/** The updates that a pass has for storage about what the layer lacks. */

const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string, string];
const take = (tag: string, digest = A) => ({ tag, action: { kind: 'take', digest } });
const drop = (tag: string) => ({ tag, action: { kind: 'drop', digest: undefined } });
const push = (tag: string) => ({ tag, action: { kind: 'push', digest: B } });
const all = (...actions: ReturnType<typeof take | typeof drop>[]) => ({
  repository: 'app',
  isAllCompared: true,
  comparedTags: [],
  actions,
});
const blob = (digest: string, size: number) => ({ digest, size, mediaType: 'application/octet-stream' });

test('what is to be taken or dropped is recorded once; what is pushed is not', () => {
  const book = new BehindBook([]);
  book.compared(all(take('b'), drop('a'), push('c')));
  assert.deepEqual(book.take(false), [
    {
      repository: 'app',
      put: [
        { tag: 'a', target: null },
        { tag: 'b', target: A },
      ],
      drop: [],
    },
  ]);
  assert.deepEqual(book.take(true), []);
});

test('what could not be compared is recorded until it is', () => {
  const [code, reason] = ['denied', 'no'];
  const book = new BehindBook(['app', 'lib', 'old'], ['app', 'old']);
  book.notCompared('app', { code, reason });
  // In part: what was compared is recorded all the same.
  book.compared({ ...all(take('a')), repository: 'lib', failure: { code, reason } });
  book.compared({ ...all(), repository: 'equal' });
  book.retain(new Set(['app', 'lib', 'equal']));
  const of = (updates: ReturnType<typeof book.take>) =>
    Object.fromEntries(
      updates.map(({ repository, put, uncompared }) => [repository, [put.length, uncompared]]),
    );
  assert.deepEqual(of(book.take(false)), {
    app: [0, { code, reason }],
    lib: [1, { code, reason }],
    old: [0, null],
  });
  const next = new BehindBook(['app', 'lib'], ['app', 'lib']);
  next.compared(all());
  next.compared({ ...all(take('a')), repository: 'lib' });
  assert.deepEqual(of(next.take(false)), { app: [0, null], lib: [1, null] });
  assert.deepEqual(next.take(true), []);
});

test('a parent that does not answer says nothing of a repository; one that answers with a failure does', () => {
  const book = new BehindBook([]);
  const failure = { code: 'parent-unreachable', reason: 'no' };
  book.notCompared('app', failure);
  book.notCompared('lib', { ...failure, status: 503 });
  assert.deepEqual(
    book.take(false).map(({ repository, uncompared }) => [repository, uncompared]),
    [['lib', failure]],
  );
});

test('a pass that follows the changes ends the failures of all repositories without one', () => {
  const book = new BehindBook(['app', 'lib'], ['app', 'lib']);
  book.followed(new Set(['lib']));
  assert.deepEqual(
    book.take(false).map(({ repository, uncompared }) => [repository, uncompared]),
    [['app', null]],
  );
});

test('what is carried out before it is recorded is never recorded', () => {
  const book = new BehindBook([]);
  book.compared(all(take('a'), take('b')));
  book.settled('app', 'a');
  book.sized('app', 'a', [blob(B, 7)]);
  assert.deepEqual(book.take(false)[0]?.put, [{ tag: 'b', target: A }]);
  book.settled('app', 'b');
  book.failed('app', 'b', 'denied', 'no');
  assert.deepEqual(book.take(true), []);
});

test('a blob counts for the first tag that lacks it, until it is here', () => {
  const book = new BehindBook([]);
  book.compared(all(take('a'), take('b')));
  book.sized('app', 'a', [blob(B, 10), blob(C, 5)]);
  book.sized('app', 'b', [blob(C, 5), blob(A, 1)]);
  const bytes = () => Object.fromEntries((book.take(true)[0]?.put ?? []).map((one) => [one.tag, one.bytes]));
  assert.deepEqual(bytes(), { a: 15, b: 1 });
  book.arrived(C);
  book.arrived(C);
  // Progress alone is recorded less often.
  assert.deepEqual(book.take(false), []);
  assert.deepEqual(bytes(), { a: 10 });
});

test('a failure is recorded with its code', () => {
  const book = new BehindBook([]);
  book.compared(all(take('a')));
  book.take(false);
  book.failed('app', 'a', 'blob-unknown', 'it is gone');
  assert.deepEqual(book.take(false)[0]?.put, [
    { tag: 'a', target: A, code: 'blob-unknown', reason: 'it is gone' },
  ]);
});

test('a complete comparison replaces what storage has of the repository, part by part', () => {
  const book = new BehindBook(['app']);
  book.compared(all());
  assert.deepEqual(book.take(false), [{ repository: 'app', put: [], drop: [], replace: {} }]);

  const names = Array.from({ length: 2 * MAX_BEHIND + 1 }, (_, at) => `t${String(at).padStart(5, '0')}`);
  const large = new BehindBook(['app']);
  large.compared(all(...names.map((tag) => take(tag))));
  const updates = large.take(false);
  const last = (part: number) => names[part * MAX_BEHIND - 1] as string;
  assert.deepEqual(
    updates.map(({ put, replace }) => [put.length, replace]),
    [
      [MAX_BEHIND, { until: last(1) }],
      [MAX_BEHIND, { after: last(1), until: last(2) }],
      [1, { after: last(2) }],
    ],
  );
});

test('of a comparison of some tags, those that are equal are dropped where storage has records', () => {
  const compared = { ...all(take('b')), isAllCompared: false, comparedTags: ['a', 'b', 'c'] };
  const known = new BehindBook(['app']);
  known.compared(compared);
  assert.deepEqual(known.take(false), [
    { repository: 'app', put: [{ tag: 'b', target: A }], drop: ['a', 'c'] },
  ]);
  const unknown = new BehindBook(['other']);
  unknown.compared(compared);
  assert.deepEqual(unknown.take(false), [{ repository: 'app', put: [{ tag: 'b', target: A }], drop: [] }]);
});

test('records of repositories that are not selected any more are deleted', () => {
  const book = new BehindBook(['app', 'gone']);
  book.retain(new Set(['app']));
  assert.deepEqual(book.take(false), [
    { repository: 'gone', put: [], drop: [], replace: { incomplete: true } },
  ]);
});

test('an image that is here in part is recorded for each of its tags, until it is complete', () => {
  const book = new BehindBook([]);
  book.compared(all(take('new', B)));
  book.take(false);
  book.incomplete('app', ['a', 'b', 'new'], A, [blob(C, 5)]);
  assert.deepEqual(book.take(false)[0]?.put, [
    { tag: 'a', target: A, incomplete: true, bytes: 5 },
    { tag: 'b', target: A, incomplete: true, bytes: 0 },
  ]);
  book.complete('app', ['a', 'b', 'new'], A);
  const complete = ['a', 'b'].map((tag) => ({ tag, target: A }));
  assert.deepEqual(book.take(false), [{ repository: 'app', put: [], drop: [], complete }]);
});

test('what an image that is here lacks fails for its tags, and not for a tag that is about to move', () => {
  const book = new BehindBook([]);
  book.compared(all(take('new', B)));
  book.incomplete('app', ['a', 'new'], A, []);
  book.take(false);
  book.failedIncomplete('app', ['a', 'new'], 'denied', 'no');
  assert.deepEqual(book.take(false)[0]?.put, [
    { tag: 'a', target: A, incomplete: true, bytes: 0, code: 'denied', reason: 'no' },
  ]);
});

test('an image that an earlier pass left in part is complete where storage has records', () => {
  const book = new BehindBook(['app']);
  book.complete('app', ['a'], A);
  book.complete('other', ['a'], A);
  assert.deepEqual(book.take(false), [
    { repository: 'app', put: [], drop: [], complete: [{ tag: 'a', target: A }] },
  ]);
});

test('once all is pulled, what is still missing replaces all records, also those of incomplete images', () => {
  const book = new BehindBook(['app', 'not compared']);
  book.compared(all(take('a')));
  book.incomplete('app', ['b'], A, []);
  book.take(false);
  book.pulled();
  assert.deepEqual(book.take(false), [
    {
      repository: 'app',
      put: [
        { tag: 'a', target: A },
        { tag: 'b', target: A, incomplete: true, bytes: 0 },
      ],
      drop: [],
      replace: { incomplete: true },
    },
  ]);
});
