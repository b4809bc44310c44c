import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Changes } from '#proto/sync/changes.ts';
import { AnswerPace } from '../../../services/syncer/parent-tasks/answer-pace.ts';
import { type FollowDeps, follow } from '../../../services/syncer/parent-tasks/follower.ts';
import { waitAfter } from '../../../services/syncer/parent-tasks/wait-after.ts';
import { ChangeCursor } from '../../../services/syncer/reconcile/observe/change-cursor.ts';
import { quiet } from '../../support/bus.ts';

const unreachable = new Fault('parent-unreachable', 'GET /v2/_terrace/changes: EAI_AGAIN');
const unchanged = (cursor: string): Changes => ({ cursor, lost: false, changes: [], more: false });
const bus = { call: async () => ({ cursor: '1' }) } as unknown as Bus;
const routine = { scopeHash: 'this parent', full: false, mustAsk: false };
const { signal: never } = new AbortController();

/** A parent whose answers the test gives one after another. */
class Feed {
  readonly waits: number[] = [];
  #requested = Promise.withResolvers<void>();
  #answer = Promise.withResolvers<Changes>();

  changes = async (_after: string | undefined, waitS: number, signal: AbortSignal) => {
    signal.throwIfAborted();
    this.waits.push(waitS);
    this.#answer = Promise.withResolvers();
    signal.addEventListener('abort', () => this.#answer.reject(signal.reason), { once: true });
    this.#requested.resolve();
    return this.#answer.promise;
  };

  /** Resolves at the next request. */
  async next(): Promise<{ answer(changes: Changes): void; fail(fault: Fault): void }> {
    await this.#requested.promise;
    this.#requested = Promise.withResolvers();
    const { resolve, reject } = this.#answer;
    return { answer: resolve, fail: reject };
  }
}

async function following(pace: FollowDeps['pace'] = { after: () => 0 }) {
  const stack = new DisposableStack();
  const feed = new Feed();
  const changeCursor = new ChangeCursor(bus);
  const calls: string[] = [];
  const end = stack.adopt(new AbortController(), (controller) => controller.abort());
  // The first pass asks the parent itself.
  const first = changeCursor.read(
    { changes: async () => unchanged('1') },
    { ...routine, mustAsk: true },
    never,
  );
  await (await first)?.finish({ good: true });
  const waiting = new Set<() => void>();
  const record = (call: string) => {
    calls.push(call);
    for (const wake of waiting) wake();
  };
  const deps: FollowDeps = {
    changeCursor,
    feed: async () => feed,
    identity: async () => ({ instance: 'i' }),
    link: () => ({ usable: true, live: true }),
    prefetcher: { idle: false, begin() {}, onIdle: () => ({ [Symbol.dispose]() {} }) },
    requestPass: () => record('pass'),
    unchanged: () => record('unchanged'),
    reportUnreachable: (reason) => record(`unreachable: ${reason}`),
    log: quiet,
    pace,
  };
  void follow(deps, end.signal);
  return {
    feed,
    changeCursor,
    calls,
    /** Resolves once the call was made. */
    async until(call: string): Promise<void> {
      while (!calls.includes(call)) await new Promise<void>((resolve) => waiting.add(resolve));
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

test('a routine pass asks the parent itself while the long poll is not answered yet', async () => {
  using follower = await following();
  await follower.feed.next();
  const cursors: (string | undefined)[] = [];
  const feed = {
    changes: async (after: string | undefined): Promise<Changes> => {
      cursors.push(after);
      throw unreachable;
    },
  };
  await assert.rejects(follower.changeCursor.read(feed, routine, never), unreachable);
  assert.deepEqual(cursors, ['1']);
});

test('an answer without changes is reported, and the next pass does not ask the parent', async () => {
  using follower = await following();
  (await follower.feed.next()).answer(unchanged('2'));
  await follower.until('unchanged');
  assert.ok(follower.changeCursor.followed);
  const feed = { changes: () => assert.fail('the parent was asked') };
  const view = await follower.changeCursor.read(feed, routine, never);
  assert.equal(view?.answered, true);
  assert.equal(follower.changeCursor.cursor, '2');
});

test('the second failure in a row reports the parent as unreachable, and its next answer requests a pass', async () => {
  using follower = await following();
  (await follower.feed.next()).answer(unchanged('2'));
  await follower.until('unchanged');
  (await follower.feed.next()).fail(unreachable);
  (await follower.feed.next()).fail(unreachable);
  await follower.until(`unreachable: ${unreachable.message}`);
  assert.equal(follower.changeCursor.followed, false);
  const again = await follower.feed.next();
  assert.equal(follower.feed.waits.at(-1), 0, 'the parent is asked for an answer at once');
  again.answer(unchanged('2'));
  await follower.until('pass');
});

test('a single broken connection, such as at the time-out of a proxy, is not reported', async () => {
  using follower = await following();
  (await follower.feed.next()).fail(unreachable);
  (await follower.feed.next()).answer(unchanged('2'));
  await follower.until('unchanged');
  assert.deepEqual(follower.calls, ['unchanged']);
});

test('an unreachable parent is polled again within seconds, and one that answers with an error later', () => {
  const maxWait = (fault: Fault) =>
    Math.max(...Array.from({ length: 30 }, (_, failures) => waitAfter(fault, failures, undefined, 1)));
  assert.equal(maxWait(unreachable), 5_000);
  const answered = (detail: object) =>
    new Fault('parent-unreachable', 'answered 503', { detail: { ...detail } });
  assert.equal(maxWait(answered({ status: 503 })), 60_000);
  assert.equal(maxWait(answered({ status: 503, retryAfterMs: 90_000 })), 95_000);
  assert.equal(maxWait(answered({ status: 503, retryAfterMs: 1e9 })), 305_000);
});

test('a parent that reports no changes without a wait is not polled again at once', async () => {
  const contents: string[] = [];
  const pace = {
    after: (_tookMs: number, content: string) => {
      contents.push(content);
      return 1_000_000;
    },
  };
  using follower = await following(pace);
  (await follower.feed.next()).answer(unchanged('2'));
  await follower.until('unchanged');
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([contents, follower.feed.waits.length], [['nothing'], 1]);
});

test('an answer with news or after a wait causes no delay, and each immediate empty answer doubles the delay', () => {
  const pace = new AnswerPace();
  const empty = (times: number) => Array.from({ length: times }, () => pace.after(0, 'nothing'));
  assert.deepEqual(empty(8), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  assert.equal(pace.after(0, 'new'), 0);
  assert.deepEqual(empty(2), [1_000, 2_000]);
  assert.equal(pace.after(1_000, 'nothing'), 0);
  assert.equal(pace.after(400, 'nothing'), 600);
  // Known entries may be followed by new ones soon.
  assert.deepEqual([pace.after(0, 'known'), pace.after(0, 'known')], [1_000, 1_000]);
});
