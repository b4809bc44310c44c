import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Digest } from '#proto/oci/names.ts';
import type { Answer } from '../../../../services/syncer/link/answers/bodies.ts';
import { blobRanges, rangesHeader } from '../../../../services/syncer/link/answers/byte-ranges.ts';
import type { Extent } from '../../../../services/syncer/link/answers/extents.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const content = randomBytes(20_000);
const size = content.length;

const answerOf = (headers: Record<string, string>, body: Buffer[], statusCode = 206): Answer =>
  ({
    statusCode,
    headers,
    body: Readable.from(body, { objectMode: false }),
    stallMs: 10_000,
  }) as unknown as Answer;

const multipart = (extents: Extent[], boundary: string, end = `\r\n--${boundary}--\r\n`): Buffer =>
  Buffer.concat([
    ...extents.flatMap(({ start, end }, index) => [
      Buffer.from(`${index > 0 ? '\r\n' : ''}--${boundary}\r\nContent-Type: application/octet-stream\r\n`),
      Buffer.from(`Content-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n`),
      content.subarray(start, end),
    ]),
    Buffer.from(end),
  ]);

async function received(answer: Answer): Promise<Extent[]> {
  const ranges = blobRanges(answer, digest, size);
  assert.ok(ranges);
  const extents: Extent[] = [];
  for await (const { at, bytes } of ranges) {
    assert.ok(bytes.equals(content.subarray(at, at + bytes.length)));
    const last = extents.at(-1);
    if (last?.end === at) last.end += bytes.length;
    else extents.push({ start: at, end: at + bytes.length });
  }
  return extents;
}

const extents = fc
  .uniqueArray(fc.integer({ min: 0, max: size }), { minLength: 2, maxLength: 20 })
  .map((edges) => edges.sort((a, b) => a - b))
  .map((edges) =>
    Array.from({ length: edges.length >> 1 }, (_, index) => index * 2).map((index) => ({
      start: edges[index] as number,
      end: edges[index + 1] as number,
    })),
  );

test('all ranges of an answer are read, however its body is cut', async () => {
  await fc.assert(
    fc.asyncProperty(extents, fc.array(fc.nat(30_000)), fc.boolean(), async (wanted, cuts, isQuoted) => {
      const body = multipart(wanted, 'B.o-1');
      const ends = [...cuts.map((cut) => Math.min(cut, body.length)).sort((a, b) => a - b), body.length];
      const parts = ends
        .map((end, index) => body.subarray(ends[index - 1] ?? 0, end))
        .filter(({ length }) => length);
      const type = `multipart/byteranges; boundary=${isQuoted ? '"B.o-1"' : 'B.o-1'}`;
      assert.deepEqual(await received(answerOf({ 'content-type': type }, parts)), wanted);
    }),
    { numRuns: 200 },
  );
});

test('one range instead of several is read, too', async () => {
  const answer = answerOf({ 'content-range': `bytes 100-199/${size}` }, [content.subarray(100, 200)]);
  assert.deepEqual(blobRanges(answer, digest, size)?.one, { start: 100, end: 200 });
  const again = answerOf({ 'content-range': `bytes 100-199/${size}` }, [content.subarray(100, 200)]);
  assert.deepEqual(await received(again), [{ start: 100, end: 200 }]);
});

test('an answer of another kind has no ranges', () => {
  const type = { 'content-type': 'multipart/byteranges; boundary=B' };
  assert.equal(blobRanges(answerOf(type, [], 200), digest, size), undefined);
  assert.equal(blobRanges(answerOf({ ...type, 'content-encoding': 'gzip' }, []), digest, size), undefined);
  assert.equal(blobRanges(answerOf({}, []), digest, size), undefined);
  assert.equal(
    blobRanges(answerOf({ 'content-range': `bytes 0-9/${size + 1}` }, []), digest, size),
    undefined,
  );
});

test('a body that is cut off, or that is not what it says, is a fault', async () => {
  const type = { 'content-type': 'multipart/byteranges; boundary=B' };
  const faulty = (body: Buffer, code: string) => assert.rejects(received(answerOf(type, [body])), { code });
  const good = multipart([{ start: 0, end: 100 }], 'B');
  await faulty(good.subarray(0, 150), 'parent-unreachable');
  await faulty(good.subarray(0, good.length - 6), 'parent-unreachable');
  await faulty(multipart([{ start: 0, end: 100 }], 'C'), 'parent-invalid');
  await faulty(Buffer.from(good.toString('latin1').replace(`/${size}`, '/5'), 'latin1'), 'parent-invalid');
  await faulty(Buffer.from(`--B\r\n${'x'.repeat(10_000)}`), 'parent-invalid');
  const complete = { start: 0, end: size };
  await faulty(multipart([complete, complete, complete], 'B'), 'parent-invalid');
});

test('the header of a request names the ranges', () => {
  const two = [
    { start: 0, end: 10 },
    { start: 20, end: 21 },
  ];
  assert.equal(rangesHeader(two), 'bytes=0-9,20-20');
});
