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

const away = new Fault('parent-unreachable', 'GET /v2/_terrace/changes: EAI_AGAIN');
const unchanged = (cursor: string): Changes => ({ cursor, lost: false, changes: [], more: false });
const bus = { call: async () => ({ cursor: '1' }) } as unknown as Bus;
const routine = { scopeHash: 'this parent', full: false, mustAsk: false };
const { signal: never } = new AbortController();

/** A parent whose answers the test gives, one after another. */
class Feed {
  readonly waits: number[] = [];
  #asked = Promise.withResolvers<void>();
  #answer = Promise.withResolvers<Changes>();

  changes = async (_after: string | undefined, waitS: number, signal: AbortSignal) => {
    signal.throwIfAborted();
    this.waits.push(waitS);
    this.#answer = Promise.withResolvers();
    signal.addEventListener('abort', () => this.#answer.reject(signal.reason), { once: true });
    this.#asked.resolve();
    return this.#answer.promise;
  };

  /** When somebody asks. */
  async next(): Promise<{ answer(changes: Changes): void; fail(fault: Fault): void }> {
    await this.#asked.promise;
    this.#asked = Promise.withResolvers();
    const { resolve, reject } = this.#answer;
    return { answer: resolve, fail: reject };
  }
}

async function following(pace: FollowDeps['pace'] = { after: () => 0 }) {
  const stack = new DisposableStack();
  const feed = new Feed();
  const changeCursor = new ChangeCursor(bus);
  const said: string[] = [];
  const end = stack.adopt(new AbortController(), (own) => own.abort());
  // The first pass asks for itself.
  const first = changeCursor.read(
    { changes: async () => unchanged('1') },
    { ...routine, mustAsk: true },
    never,
  );
  await (await first)?.finish(true);
  const waiting = new Set<() => void>();
  const say = (word: string) => {
    said.push(word);
    for (const wake of waiting) wake();
  };
  const deps: FollowDeps = {
    changeCursor,
    feed: async () => feed,
    identity: async () => ({ instance: 'i' }),
    link: () => ({ usable: true, live: true }),
    prefetcher: { idle: false, begin() {}, onIdle: () => ({ [Symbol.dispose]() {} }) },
    requestPass: () => say('tell'),
    unchanged: () => say('unchanged'),
    reportUnreachable: (reason) => say(`unreachable: ${reason}`),
    log: quiet,
    pace,
  };
  void follow(deps, end.signal);
  return {
    feed,
    changeCursor,
    said,
    /** Resolves when the word was said. */
    async hears(word: string): Promise<void> {
      while (!said.includes(word)) await new Promise<void>((resolve) => waiting.add(resolve));
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

test('while nobody has answered the request that rests, a routine pass asks the parent itself', async () => {
  using one = await following();
  await one.feed.next();
  const asked: (string | undefined)[] = [];
  const feed = {
    changes: async (after: string | undefined): Promise<Changes> => {
      asked.push(after);
      throw away;
    },
  };
  await assert.rejects(one.changeCursor.read(feed, routine, never), away);
  assert.deepEqual(asked, ['1']);
});

test('an answer that nothing is new begins a pass, which then need not ask', async () => {
  using one = await following();
  (await one.feed.next()).answer(unchanged('2'));
  await one.hears('unchanged');
  assert.ok(one.changeCursor.followed);
  const feed = { changes: () => assert.fail('it asked') };
  const look = await one.changeCursor.read(feed, routine, never);
  assert.equal(look?.answered, true);
  assert.equal(one.changeCursor.cursor, '2');
});

test('a parent that does not answer is unreachable at once, and its return begins a pass at once', async () => {
  using one = await following();
  (await one.feed.next()).answer(unchanged('2'));
  await one.hears('unchanged');
  (await one.feed.next()).fail(away);
  (await one.feed.next()).fail(away);
  await one.hears(`unreachable: ${away.message}`);
  assert.equal(one.changeCursor.followed, false);
  const again = await one.feed.next();
  assert.equal(one.feed.waits.at(-1), 0, 'the parent is asked for an answer at once');
  again.answer(unchanged('2'));
  await one.hears('tell');
});

test('one connection that breaks, as a proxy may break it, is no news', async () => {
  using one = await following();
  (await one.feed.next()).fail(away);
  (await one.feed.next()).answer(unchanged('2'));
  await one.hears('unchanged');
  assert.deepEqual(one.said, ['unchanged']);
});

test('a parent that can not be reached is asked again within seconds, one that answers with an error later', () => {
  const longest = (fault: Fault) =>
    Math.max(...Array.from({ length: 30 }, (_, failures) => waitAfter(fault, failures, undefined, 1)));
  assert.equal(longest(away), 5_000);
  const answered = (detail: object) =>
    new Fault('parent-unreachable', 'answered 503', { detail: { ...detail } });
  assert.equal(longest(answered({ status: 503 })), 60_000);
  assert.equal(longest(answered({ status: 503, retryAfterMs: 90_000 })), 95_000);
  assert.equal(longest(answered({ status: 503, retryAfterMs: 1e9 })), 305_000);
});

test('a parent that answers that nothing is new without waiting for it is not asked again at once', async () => {
  const brought: string[] = [];
  const pace = {
    after: (_tookMs: number, what: string) => {
      brought.push(what);
      return 1_000_000;
    },
  };
  using one = await following(pace);
  (await one.feed.next()).answer(unchanged('2'));
  await one.hears('unchanged');
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([brought, one.feed.waits.length], [['nothing'], 1]);
});

test('an answer in time, or with something new, costs no wait; empty ones at once cost twice as much each time', () => {
  const pace = new AnswerPace();
  const empty = (times: number) => Array.from({ length: times }, () => pace.after(0, 'nothing'));
  assert.deepEqual(empty(8), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  assert.equal(pace.after(0, 'new'), 0);
  assert.deepEqual(empty(2), [1_000, 2_000]);
  assert.equal(pace.after(1_000, 'nothing'), 0);
  assert.equal(pace.after(400, 'nothing'), 600);
  // What is known already may be followed by something new soon.
  assert.deepEqual([pace.after(0, 'known'), pace.after(0, 'known')], [1_000, 1_000]);
});
