import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TocEntries } from '../../../services/syncer/frames/toc-entries.ts';

const entriesOf = (...parts: Buffer[]) => {
  const entries = new TocEntries();
  return parts.flatMap((part) => [...entries.add(part)]);
};

test('the entries are found however the text is cut', () => {
  const field = fc.oneof(fc.string(), fc.integer(), fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }));
  const entry = fc
    .dictionary(fc.string(), field, { maxKeys: 4 })
    .map((fields) => ({ ...fields, type: 'reg' }));
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 5 }),
      fc.array(fc.nat(600)),
      fc.boolean(),
      (entries, cuts, isIndented) => {
        const table = { version: 1, entries, tarSplitDigest: 'sha256:}]"' };
        const text = Buffer.from(JSON.stringify(table, null, isIndented ? '\t' : undefined));
        const ends = [...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
        const parts = ends.map((end, index) => text.subarray(ends[index - 1] ?? 0, end));
        assert.deepEqual(
          JSON.parse(JSON.stringify(entriesOf(...parts))),
          JSON.parse(JSON.stringify(entries)),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('what is no table of contents is refused', () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => entriesOf(Buffer.from(text)), { message });
  refused('{"entries":[{"type":"reg",}]}', /not JSON/);
  refused('{"entries":[{"name":"a"}]}', /without a type/);
  refused('{"entries":[{"type":1}]}', /without a type/);
  refused(`{"entries":[{"type":"reg","name":"${'x'.repeat(300_000)}"}]}`, /too long/);
  refused(`{"entries":[{"type":"reg","x":${'['.repeat(20)}`, /too deeply/);
  assert.throws(() => {
    const entries = new TocEntries();
    for (let at = 0; at < 300; at += 1)
      assert.deepEqual([...entries.add(Buffer.from(at === 0 ? '{"entries":[{"' : 'x'.repeat(1_000)))], []);
  }, /too long/);
});
