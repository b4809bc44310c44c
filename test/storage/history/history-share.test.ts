import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Shares } from '../../../services/storage/history/history-share.ts';

/** Whose events go where the history has to be made smaller. */

type Told = { owner: string | undefined; bytes: number };

/** How many bytes each has afterwards. */
function after(target: number, told: readonly Told[]): Map<string | undefined, number> {
  const shares = new Shares();
  for (const [index, { owner, bytes }] of told.entries()) {
    const subject = owner === undefined ? 'events.tag.moved' : `below.${owner}.tag.moved`;
    shares.add({ sequence: index + 1, subject, bytes });
  }
  const left = new Map<string | undefined, number>();
  const cuts = shares.cutsTo(target);
  for (const [index, { owner, bytes }] of told.entries()) {
    const before = cuts.find((cut) => cut.owner === owner)?.before ?? 0;
    if (index + 1 >= before) left.set(owner, (left.get(owner) ?? 0) + bytes);
  }
  return left;
}

const many = (owner: string | undefined, count: number, bytes = 10): Told[] =>
  Array.from({ length: count }, () => ({ owner, bytes }));

test('who tells the most gives up the oldest of its own, and nobody else anything', () => {
  const told = [...many(undefined, 30), ...many('calm', 10), ...many('flood', 200)];
  assert.deepEqual(
    [...after(1_000, told)],
    [
      [undefined, 300],
      ['calm', 100],
      ['flood', 600],
    ],
  );
});

test('what happens in the layer itself does not push out what happened below', () => {
  const told = [...many('line', 30), ...many(undefined, 200)];
  assert.deepEqual(
    [...after(1_000, told)],
    [
      ['line', 300],
      [undefined, 700],
    ],
  );
});

test('each half has what the other one does not need', () => {
  assert.deepEqual([...after(1_000, many(undefined, 200))], [[undefined, 1_000]]);
  assert.deepEqual([...after(1_000, many('line', 200))], [['line', 1_000]]);
  const both = after(1_000, [...many('line', 200), ...many(undefined, 200)]);
  assert.deepEqual([...both.values()], [500, 500]);
});

test('nobody loses what is within its share, and all that is left is no more than there is room for', () => {
  const owner = fc.constantFrom(undefined, 'a', 'b', 'c');
  const told = fc.array(fc.record({ owner, bytes: fc.integer({ min: 1, max: 50 }) }), { maxLength: 300 });
  fc.assert(
    fc.property(told, fc.integer({ min: 400, max: 4_000 }), (all, target) => {
      const left = after(target, all);
      const had = (of: string | undefined) =>
        all.filter(({ owner: its }) => its === of).reduce((sum, { bytes }) => sum + bytes, 0);
      const children = ['a', 'b', 'c'].filter((child) => had(child) > 0);
      const sum = [...left.values()].reduce((total, bytes) => total + bytes, 0);
      // The last event of each stays, however large it is.
      assert.ok(sum <= target + 50 * (children.length + 1), `${sum} of ${target} are left`);
      if (had(undefined) <= target / 2) assert.equal(left.get(undefined) ?? 0, had(undefined));
      for (const child of children) {
        if (had(child) <= target / 2 / children.length) assert.equal(left.get(child), had(child));
      }
    }),
    { numRuns: 200 },
  );
});
