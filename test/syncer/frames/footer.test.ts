import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOOTER_BYTES, parseFooter } from '../../../services/syncer/frames/footer.ts';
import { estargzFooter, zstdChunkedFooter } from '../../support/registry/framed-layers.ts';

const SIZE = 10_000;
/** The last bytes of a layer of `SIZE` that ends with this footer. */
const tailWith = (footer: Buffer) =>
  Buffer.concat([Buffer.alloc(FOOTER_BYTES), footer]).subarray(-FOOTER_BYTES);
const parse = (footer: Buffer) => parseFooter(tailWith(footer), SIZE);

test('the footers of all writers say where the table of contents is', () => {
  const place = { compression: 'zstd', toc: { start: 9_000, end: 9_500 }, end: 8_992 };
  assert.deepEqual(parse(zstdChunkedFooter([9_000, 500, 4_000, 1], 'GnUlInUx')), place);
  assert.deepEqual(parse(zstdChunkedFooter([9_000, 500, 4_000, 1, 9_508, 300, 2_000])), place);
  const before = { ...place, end: 8_492 };
  assert.deepEqual(parse(zstdChunkedFooter([9_000, 500, 4_000, 1, 8_500, 300, 2_000])), before);
  const gzip = { compression: 'gzip', toc: { start: 9_000, end: SIZE - 51 }, end: 9_000 };
  assert.deepEqual(parse(estargzFooter(9_000)), gzip);
});

test('a layer without a footer, or with an impossible one, has no table of contents', () => {
  const odd = {
    nothing: Buffer.alloc(0),
    'another type': zstdChunkedFooter([9_000, 500, 4_000, 2]),
    'another length': zstdChunkedFooter([9_000, 500, 4_000, 1, 0]),
    'after the end': zstdChunkedFooter([9_000, 1_000, 4_000, 1]),
    'an empty table': zstdChunkedFooter([9_000, 0, 4_000, 1]),
    'before the beginning': zstdChunkedFooter([8, 500, 4_000, 1]),
    'beyond every number': zstdChunkedFooter([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 4_000, 1]),
    'another magic word': zstdChunkedFooter([9_000, 500, 4_000, 1], 'GNUlInUy'),
    'no position': Buffer.from(estargzFooter(9_000).map((byte, at) => (at === 20 ? 0x78 : byte))),
    'a position after the end': estargzFooter(SIZE),
    'another extra field': Buffer.from(estargzFooter(9_000).map((byte, at) => (at === 12 ? 0x54 : byte))),
  };
  for (const [name, footer] of Object.entries(odd)) assert.equal(parse(footer), undefined, name);
  assert.equal(parseFooter(Buffer.alloc(3), 3), undefined);
  assert.equal(parseFooter(estargzFooter(0).subarray(20), 31), undefined);
});

test('a table of contents that is too large is not read', () => {
  const size = 200_000_000;
  const tail = tailWith(zstdChunkedFooter([1_000_000, 34_000_000, 35_000_000, 1]));
  assert.equal(parseFooter(tail, size), undefined);
  assert.ok(parseFooter(tailWith(zstdChunkedFooter([1_000_000, 33_000_000, 35_000_000, 1])), size));
});
