import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import {
  LongPolls,
  MAX_LONG_POLLS,
  MAX_LONG_POLLS_EACH,
  type PollStep,
  tooManyLongPolls,
  Waiters,
} from '../../../services/gateway/children/long-poll.ts';

/** Limits of long polls, and what ends them. */

const from = (ip: string, name = '') => ({ ip, caller: { identity: { name } } }) as never;

test('an account has MAX_LONG_POLLS_EACH slots per route, from any address; an ended poll releases its slot', () => {
  const longPolls = new LongPolls();
  const slots = Array.from({ length: MAX_LONG_POLLS_EACH + 1 }, (_, n) =>
    longPolls.slotFor(from(`192.0.2.${n}`, 'line'), 'changes'),
  );
  const taken = slots.map((slot) => slot.take());
  equal(taken.lastIndexOf(true), MAX_LONG_POLLS_EACH - 1);
  equal(taken.at(-1), false);
  equal(slots[0]?.take(), true, 'it already has its slot');
  equal(longPolls.slotFor(from('192.0.2.1', 'line'), 'arriving').take(), true, 'another route');
  equal(longPolls.slotFor(from('192.0.2.1', 'line-2'), 'changes').take(), true, 'another account');
  slots[0]?.[Symbol.dispose]();
  slots[0]?.[Symbol.dispose]();
  equal(slots.at(-1)?.take(), true);
  equal(slots[0]?.take(), false, 'it released one slot only');
});

test('without accounts, MAX_LONG_POLLS_EACH applies to a network', () => {
  const longPolls = new LongPolls();
  const take = (ip: string) => longPolls.slotFor(from(ip), 'changes').take();
  for (let n = 0; n < MAX_LONG_POLLS_EACH; n += 1) equal(take(`2001:db8::${n}`), true);
  equal(take('2001:db8::ffff'), false);
  equal(take('2001:db8:1::1'), true);
});

test('a request that does not wait takes no slot, and all accounts together have MAX_LONG_POLLS', () => {
  const longPolls = new LongPolls();
  for (let n = 0; n < 10; n += 1) longPolls.slotFor(from('192.0.2.1', 'line'), 'changes');
  const slots = Array.from({ length: MAX_LONG_POLLS }, (_, n) => {
    const slot = longPolls.slotFor(from('192.0.2.1', `line-${n}`), 'changes');
    equal(slot.take(), true);
    return slot;
  });
  const further = longPolls.slotFor(from('192.0.2.1', 'further'), 'changes');
  equal(further.take(), false);
  slots[0]?.[Symbol.dispose]();
  equal(further.take(), true);
});

test('a request without a slot may retry after 5 to 15 s', () => {
  equal(tooManyLongPolls(0).detail?.retryAfter, 5);
  equal(tooManyLongPolls(0.999).detail?.retryAfter, 15);
});

/** A request at a route, with the events that may end its wait. */
function polling(waitMs = 10_000, isFree = true) {
  const socket = Object.assign(new EventEmitter(), { destroyed: false });
  const server = { listening: true };
  const hooks: (() => Promise<void>)[] = [];
  const waiters = new Waiters({
    server,
    addHook: (_: string, hook: () => Promise<void>) => hooks.push(hook),
  } as never);
  let taken = false;
  const slot = {
    take() {
      taken = isFree;
      return isFree;
    },
    [Symbol.dispose]() {},
  };
  const poll = (check: () => Promise<PollStep<number>>) =>
    waiters.pollUntil({ raw: { socket } } as never, { end: performance.now() + waitMs, slot }, check);
  const close = async () => {
    server.listening = false;
    for (const hook of hooks) await hook();
  };
  const disconnect = () => {
    socket.destroyed = true;
    socket.emit('close');
  };
  return { waiters, socket, poll, close, disconnect, taken: () => taken };
}

/** Checks that count their calls, and are ready at call `ready`. */
const counting = (ready: number, each: (count: number) => void = () => {}) => {
  let count = 0;
  return async (): Promise<PollStep<number>> => {
    count += 1;
    each(count);
    return { answer: count, isReady: count >= ready };
  };
};

test('an answer that is ready is sent at once, and takes no slot', async () => {
  const { poll, taken } = polling();
  equal(await poll(counting(1)), 1);
  equal(taken(), false);
});

test('a request checks again when it is woken, also by a change during its check', async () => {
  const { waiters, poll, socket } = polling();
  equal(await poll(counting(2, () => waiters.wakeAll())), 2);
  const woken = poll(counting(2));
  setTimeout(waiters.wakeAll, 5);
  equal(await woken, 2);
  equal(socket.listenerCount('close'), 0);
});

test('a request reads on while there is more, also after its time and without a slot', async () => {
  const { poll, taken } = polling(0);
  let page = 0;
  const check = async () => {
    page += 1;
    return { answer: page, isReady: false, more: page < 3 };
  };
  equal(await poll(check), 3);
  equal(taken(), false);
});

test('when its time, its connection or the server ends, a request gets the answer of its last check', async () => {
  equal(await polling(0).poll(counting(9)), 1);
  const [timed, lost, closed] = [polling(30), polling(), polling()];
  const answers = [timed, lost, closed].map(({ poll }) => poll(counting(9)));
  setTimeout(lost.disconnect, 5);
  setTimeout(closed.close, 5);
  const [first = 0, ...others] = await Promise.all(answers);
  ok(first >= 2);
  deepEqual(others, [2, 2]);
});

test('a request that would wait without a slot is refused, and an error of its check ends it', async () => {
  await rejects(polling(10_000, false).poll(counting(2)), /too many long polls/);
  await rejects(
    polling().poll(async () => Promise.reject(new Error('no rights'))),
    /no rights/,
  );
});
