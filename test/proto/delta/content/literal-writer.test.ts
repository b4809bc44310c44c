import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bytes } from '#proto/delta/bytes/bytes.ts';
import { LiteralWriter } from '#proto/delta/content/literal-writer.ts';
import { Dictionary } from '#proto/delta/format/dictionary.ts';
import { SectionReader } from '#proto/delta/format/section.ts';
import { References } from '#proto/delta/matching/references.ts';
import { Memory } from '../in-memory.ts';

const KIB = 1024;
const zeros = (size: number): Bytes => ({
  size,
  read(target, at) {
    const count = Math.max(0, Math.min(target.length, size - at));
    target.fill(0, 0, count);
    return count;
  },
});

/** Regions of 64 KiB with new bytes between them: each of these refers to bytes of the base. */
for (const [gap, count] of [
  [1, 5_000],
  [300, 4_000],
  [40_000, 300],
] as const) {
  test(`${count} ranges of new content, ${gap} bytes each, stay within the bounds of a section`, () => {
    const matches = Array.from({ length: count }, (_, index) => ({
      at: gap + index * (64 * KIB + gap),
      // Not in order, so that their references do not join.
      from: ((index * 7_919) % count) * 128 * KIB,
      length: 64 * KIB,
    }));
    const [before, after] = [zeros(count * 128 * KIB), zeros(count * (64 * KIB + gap))];
    const sink = new Memory();
    const writer = new LiteralWriter(after, before, new References(matches, before.size), sink);
    for (const { at } of matches) writer.add({ start: at - gap, end: at });
    writer.end();
    assert.equal(writer.length, count * gap);
    const reader = new SectionReader(sink, before, writer.length, new Dictionary());
    let read = 0;
    while (reader.refill()) read += reader.piece.length;
    assert.equal(read, writer.length);
  });
}
