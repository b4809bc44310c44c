import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { MIN_PART_BYTES, pack } from '#proto/archive/packing.ts';
import { END_BYTES, entryBytes, fileHeader, layoutPath, padding } from '#proto/archive/tar.ts';

const digestOf = (index: number, algorithm = 'sha256') =>
  `${algorithm}:${String(index).padStart(algorithm === 'sha256' ? 64 : 128, '0')}`;

const items = fc.array(
  fc.record({ size: fc.nat(400_000), indexBytes: fc.nat(2_000), isLong: fc.boolean() }),
  { maxLength: 40 },
);

test('every part keeps to the limit, and pieces are the content, in order and without overlap', () => {
  fc.assert(
    fc.property(items, fc.integer({ min: MIN_PART_BYTES, max: 500_000 }), (drawn, maxBytes) => {
      const content = drawn.map(({ size, indexBytes, isLong }, index) => ({
        digest: digestOf(index, isLong ? 'sha512' : 'sha256'),
        size,
        indexBytes,
      }));
      const { parts, pieces } = pack(content, maxBytes);
      for (const { bytes } of parts) assert.ok(bytes <= maxBytes, `${bytes} > ${maxBytes}`);
      const used = parts.map(() => [] as [from: number, to: number][]);
      for (const { digest, size } of content) {
        const own = pieces.get(digest) ?? [];
        assert.equal(
          own.reduce((sum, piece) => sum + piece.size, 0),
          size,
        );
        for (const { part, offset, size: length } of own) used[part]?.push([offset, offset + length]);
      }
      for (const ranges of used) {
        ranges.sort(([a], [b]) => a - b);
        for (const [at, [from]] of ranges.entries())
          assert.ok(at === 0 || from >= (ranges[at - 1]?.[1] ?? 0));
      }
      assert.deepEqual(pack(content, maxBytes), { parts, pieces }, 'the same for the same content');
    }),
  );
});

test('GNU tar reads what is written, long names and sizes included', () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrace-tar-'));
  try {
    const files: [string, Buffer][] = [
      ['oci-layout', Buffer.from('{}')],
      [layoutPath(digestOf(1, 'sha512')), Buffer.alloc(513, 'x')],
      [layoutPath(digestOf(2), 3), Buffer.alloc(0)],
    ];
    const blocks = files.flatMap(([path, bytes]) => {
      const padded = Buffer.alloc(padding(bytes.byteLength));
      assert.equal(entryBytes(path, bytes.byteLength) % 512, 0);
      return [fileHeader(path, bytes.byteLength), bytes, padded];
    });
    writeFileSync(join(folder, 'a.tar'), Buffer.concat([...blocks, Buffer.alloc(END_BYTES)]));
    const listed = execFileSync('tar', ['-tvf', join(folder, 'a.tar')], {
      encoding: 'utf8',
      env: { TZ: 'UTC' },
    });
    assert.deepEqual(
      listed
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/).slice(2)),
      files.map(([path, bytes]) => [String(bytes.byteLength), '1970-01-01', '00:00', path]),
    );
    const large = fileHeader('large', 20 * 2 ** 30);
    assert.match(Buffer.from(large).toString('latin1'), /\d+ size=21474836480\n/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
