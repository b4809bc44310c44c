import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Shares } from '../../../services/storage/history/history-share.ts';

/** Whose events are trimmed when the history has to shrink. */

type OwnedEvent = { owner: string | undefined; bytes: number };

/** Remaining bytes by owner, after the history is cut to `target` bytes. */
function remaining(target: number, events: readonly OwnedEvent[]): Map<string | undefined, number> {
  const shares = new Shares();
  for (const [index, { owner, bytes }] of events.entries()) {
    const subject = owner === undefined ? 'events.tag.moved' : `below.${owner}.tag.moved`;
    shares.add({ sequence: index + 1, subject, bytes });
  }
  const left = new Map<string | undefined, number>();
  const cuts = shares.cutsTo(target);
  for (const [index, { owner, bytes }] of events.entries()) {
    const before = cuts.find((cut) => cut.owner === owner)?.before ?? 0;
    if (index + 1 >= before) left.set(owner, (left.get(owner) ?? 0) + bytes);
  }
  return left;
}

const many = (owner: string | undefined, count: number, bytes = 10): OwnedEvent[] =>
  Array.from({ length: count }, () => ({ owner, bytes }));

test('the owner with the most events loses its oldest ones, and the others lose none', () => {
  const events = [...many(undefined, 30), ...many('calm', 10), ...many('flood', 200)];
  assert.deepEqual(
    [...remaining(1_000, events)],
    [
      [undefined, 300],
      ['calm', 100],
      ['flood', 600],
    ],
  );
});

test('events of the layer itself do not displace events from below', () => {
  const events = [...many('line', 30), ...many(undefined, 200)];
  assert.deepEqual(
    [...remaining(1_000, events)],
    [
      ['line', 300],
      [undefined, 700],
    ],
  );
});

test('space that one half does not need is available to the other', () => {
  assert.deepEqual([...remaining(1_000, many(undefined, 200))], [[undefined, 1_000]]);
  assert.deepEqual([...remaining(1_000, many('line', 200))], [['line', 1_000]]);
  const both = remaining(1_000, [...many('line', 200), ...many(undefined, 200)]);
  assert.deepEqual([...both.values()], [500, 500]);
});

test('no owner loses events within its share, and the remaining events fit into the target', () => {
  const owner = fc.constantFrom(undefined, 'a', 'b', 'c');
  const events = fc.array(fc.record({ owner, bytes: fc.integer({ min: 1, max: 50 }) }), { maxLength: 300 });
  fc.assert(
    fc.property(events, fc.integer({ min: 400, max: 4_000 }), (all, target) => {
      const left = remaining(target, all);
      const bytesOf = (owner: string | undefined) =>
        all.filter((event) => event.owner === owner).reduce((sum, { bytes }) => sum + bytes, 0);
      const children = ['a', 'b', 'c'].filter((child) => bytesOf(child) > 0);
      const sum = [...left.values()].reduce((total, bytes) => total + bytes, 0);
      // The last event of each owner stays, at any size.
      assert.ok(sum <= target + 50 * (children.length + 1), `${sum} of ${target} are left`);
      if (bytesOf(undefined) <= target / 2) assert.equal(left.get(undefined) ?? 0, bytesOf(undefined));
      for (const child of children) {
        if (bytesOf(child) <= target / 2 / children.length) assert.equal(left.get(child), bytesOf(child));
      }
    }),
    { numRuns: 200 },
  );
});
