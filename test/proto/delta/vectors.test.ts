import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { brotliDecompressSync, zstdDecompressSync } from 'node:zlib';
import { applied, sha256, storedOf } from './in-memory.ts';

/** The files of `vectors/`: a delta that was made once is applied by each later reader of the same format. */

const folder = new URL('vectors/', import.meta.url);
const files = readdirSync(folder);
const read = (name: string): Buffer => readFileSync(new URL(name, folder));
const names = files.filter((file) => file.endsWith('.delta')).map((file) => file.replace('.delta', ''));
const basesOf = (name: string) =>
  files
    .filter((file) => file.startsWith(`${name}.base`))
    .sort()
    .map(read);

test('there are vectors of each kind', () => {
  assert.deepEqual(names.sort(), ['aligned', 'embedded', 'gzip', 'members', 'no-base', 'raw']);
});

for (const name of names) {
  test(`the delta ${name} makes its target`, () => {
    const target = read(`${name}.target`);
    assert.deepEqual(applied(read(`${name}.delta`), basesOf(name), storedOf(target)), target);
  });

  test(`the delta ${name} has the fields of docs/design/delta-format.md`, () => {
    const [delta, target, bases] = [read(`${name}.delta`), read(`${name}.target`), basesOf(name)];
    let at = 0;
    const bytes = (count: number) => {
      at += count;
      return delta.subarray(at - count, at);
    };
    const number = (): number => {
      const byte = bytes(1)[0] as number;
      return byte < 128 ? byte : byte - 128 + 128 * number();
    };
    assert.equal(bytes(8).toString('latin1'), 'TERRADLT');
    assert.equal(number(), 2, 'format');
    assert.equal(number(), bases.length);
    assert.equal(number(), target.length);
    assert.deepEqual(bytes(32), sha256(target));
    for (const base of bases) {
      assert.equal(number(), base.length);
      assert.deepEqual(bytes(32), sha256(base));
      assert.equal(number(), base.readUInt16BE() === 0x1f8b ? 1 : 0, 'form');
    }
    const sections = Array.from({ length: 21 }, () => ({ stream: number(), section: number() }));
    for (const { stream, section } of sections) {
      const end = at + section;
      let left = stream;
      while (at < end) {
        const length = number();
        const references = Array.from({ length: number() }, () => [number(), number()]);
        const frame = number();
        const content = bytes(Math.floor(frame / 4));
        if (frame % 4 === 1) assert.equal(content.length, length);
        else if (frame % 4 === 2) assert.equal(brotliDecompressSync(content).length, length);
        else if (references.length === 0) assert.equal(zstdDecompressSync(content).length, length);
        left -= length;
      }
      assert.equal(at, end);
      assert.equal(left, 0, 'the pieces of a section have the bytes of its stream');
    }
    assert.equal(at, delta.length);
  });
}
