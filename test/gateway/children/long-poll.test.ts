import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_RESTING,
  MAX_RESTING_EACH,
  Resting,
  tooManyResting,
} from '../../../services/gateway/children/long-poll.ts';

/** How many requests may wait for something to tell. */

const from = (ip: string, name = '') => ({ ip, caller: { asker: { name } } }) as never;

test('one account has so many places at a route, from wherever it comes, and one again when a request ends', () => {
  const resting = new Resting();
  const places = Array.from({ length: MAX_RESTING_EACH + 1 }, (_, n) =>
    resting.of(from(`192.0.2.${n}`, 'line'), 'changes'),
  );
  const taken = places.map((place) => place.take());
  equal(taken.lastIndexOf(true), MAX_RESTING_EACH - 1);
  equal(taken.at(-1), false);
  equal(places[0]?.take(), true, 'it has its place');
  equal(resting.of(from('192.0.2.1', 'line'), 'arriving').take(), true, 'another route');
  equal(resting.of(from('192.0.2.1', 'line-2'), 'changes').take(), true, 'another account');
  places[0]?.[Symbol.dispose]();
  places[0]?.[Symbol.dispose]();
  equal(places.at(-1)?.take(), true);
  equal(places[0]?.take(), false, 'it gave back one place, and no more');
});

test('without accounts, one network has so many', () => {
  const resting = new Resting();
  const take = (ip: string) => resting.of(from(ip), 'changes').take();
  for (let n = 0; n < MAX_RESTING_EACH; n += 1) equal(take(`2001:db8::${n}`), true);
  equal(take('2001:db8::ffff'), false);
  equal(take('2001:db8:1::1'), true);
});

test('a request that does not wait needs no place, and all together have so many', () => {
  const resting = new Resting();
  for (let n = 0; n < 10; n += 1) resting.of(from('192.0.2.1', 'line'), 'changes');
  const places = Array.from({ length: MAX_RESTING }, (_, n) => {
    const place = resting.of(from('192.0.2.1', `line-${n}`), 'changes');
    equal(place.take(), true);
    return place;
  });
  const further = resting.of(from('192.0.2.1', 'further'), 'changes');
  equal(further.take(), false);
  places[0]?.[Symbol.dispose]();
  equal(further.take(), true);
});

test('who finds no place comes again after 5 to 15 s', () => {
  equal(tooManyResting(0).detail?.retryAfter, 5);
  equal(tooManyResting(0.999).detail?.retryAfter, 15);
});
