import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deltaCandidates } from '#proto/sync/delta-candidates.ts';
import { MAX_CANDIDATES } from '#proto/sync/delta-jobs.ts';

/** Which layers that a receiver holds a delta may be made of, in which order. */

const all = () => true;
const names = (text: string) => text.split(' ').filter(Boolean);
const order = (to: string, layers: string, ...held: string[]) =>
  deltaCandidates(to, { layers: names(layers), held: held.map(names) }, all).join(' ');

test('the layer in the same place of the first held image is the first candidate, then its neighbours', () => {
  equal(order('c2', 'a b c2 d', 'a b c1 d'), 'c1 b d a');
  equal(order('a2', 'a2 b2', 'a1 b1'), 'a1 b1');
});

test('places are counted from the base and from the top, as layers come and go on either side', () => {
  equal(order('x2', 'a n x2 y2', 'a x1 y1'), 'x1 y1 a');
  equal(order('x2', 'a x2', 'a x1 p q r'), 'x1 r p q a');
});

test('the layer in the same place of another image comes before remote ones of the first', () => {
  equal(order('c3', 'k l c3 m', 'a b c1 d', 'e f c2 g'), 'c1 b d c2 f g a e');
});

test('a layer that the new image still has comes after all others', () => {
  equal(order('c2', 'a b c2', 'a b c1', 'z y c0'), 'c1 c0 y z b a');
});

test('a target without a place in the image has the layers in the order in which they are held', () => {
  equal(order('x', 'a b', 'c d e', 'f g'), 'c d f g e');
});

test('neither the target itself nor what may not be used is a candidate, and each layer is one once', () => {
  equal(order('c2', 'a c2', 'a c2', 'a c1', 'a c1'), 'c1 a');
  const usable = deltaCandidates('c', { layers: ['c'], held: [['a', 'b']] }, (digest) => digest !== 'a');
  deepEqual(usable, ['b']);
  deepEqual(deltaCandidates('c', { layers: ['c'], held: [] }, all), []);
});

test('there are MAX_CANDIDATES at most, and they never depend on more than the question', () => {
  const layer = fc.integer({ min: 0, max: 60 }).map((n) => `l${n}`);
  const images = fc.array(fc.array(layer, { maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.array(layer, { minLength: 1, maxLength: 40 }), images, (layers, held) => {
      const to = layers[0]!;
      const found = deltaCandidates(to, { layers, held }, all);
      const possible = new Set(held.flat());
      possible.delete(to);
      equal(found.length, Math.min(possible.size, MAX_CANDIDATES));
      equal(new Set(found).size, found.length);
      ok(found.every((digest) => possible.has(digest)));
    }),
  );
});
