import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import {
  LongPolls,
  MAX_LONG_POLLS,
  MAX_LONG_POLLS_EACH,
  tooManyLongPolls,
} from '../../../services/gateway/children/long-poll.ts';

/** How many requests may wait for something to tell. */

const from = (ip: string, name = '') => ({ ip, caller: { identity: { name } } }) as never;

test('one account has so many places at a route, from wherever it comes, and one again when a request ends', () => {
  const longPolls = new LongPolls();
  const places = Array.from({ length: MAX_LONG_POLLS_EACH + 1 }, (_, n) =>
    longPolls.slotFor(from(`192.0.2.${n}`, 'line'), 'changes'),
  );
  const taken = places.map((place) => place.take());
  equal(taken.lastIndexOf(true), MAX_LONG_POLLS_EACH - 1);
  equal(taken.at(-1), false);
  equal(places[0]?.take(), true, 'it has its place');
  equal(longPolls.slotFor(from('192.0.2.1', 'line'), 'arriving').take(), true, 'another route');
  equal(longPolls.slotFor(from('192.0.2.1', 'line-2'), 'changes').take(), true, 'another account');
  places[0]?.[Symbol.dispose]();
  places[0]?.[Symbol.dispose]();
  equal(places.at(-1)?.take(), true);
  equal(places[0]?.take(), false, 'it gave back one place, and no more');
});

test('without accounts, one network has so many', () => {
  const longPolls = new LongPolls();
  const take = (ip: string) => longPolls.slotFor(from(ip), 'changes').take();
  for (let n = 0; n < MAX_LONG_POLLS_EACH; n += 1) equal(take(`2001:db8::${n}`), true);
  equal(take('2001:db8::ffff'), false);
  equal(take('2001:db8:1::1'), true);
});

test('a request that does not wait needs no place, and all together have so many', () => {
  const longPolls = new LongPolls();
  for (let n = 0; n < 10; n += 1) longPolls.slotFor(from('192.0.2.1', 'line'), 'changes');
  const places = Array.from({ length: MAX_LONG_POLLS }, (_, n) => {
    const place = longPolls.slotFor(from('192.0.2.1', `line-${n}`), 'changes');
    equal(place.take(), true);
    return place;
  });
  const further = longPolls.slotFor(from('192.0.2.1', 'further'), 'changes');
  equal(further.take(), false);
  places[0]?.[Symbol.dispose]();
  equal(further.take(), true);
});

test('who finds no place comes again after 5 to 15 s', () => {
  equal(tooManyLongPolls(0).detail?.retryAfter, 5);
  equal(tooManyLongPolls(0.999).detail?.retryAfter, 15);
});
