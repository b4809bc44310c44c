import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Body } from '../../../../services/syncer/link/answers/bodies.ts';
import { EncodedBodies } from '../../../../services/syncer/link/answers/encoded-body.ts';

const PART = 64 * 1024;
const content = randomBytes(10 * PART);
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** A body that ends with the fault, if there is one. */
function bodyOf(sent: Buffer, fault?: Fault): Body {
  const parts = async function* () {
    for (let at = 0; at < sent.length; at += PART) yield sent.subarray(at, at + PART);
    if (fault) throw fault;
  };
  return { destroy: () => {}, [Symbol.asyncIterator]: parts };
}

/** Reads a body without a length that a header calls brotli. */
async function read(bodies: EncodedBodies, body: Body): Promise<Buffer> {
  const about = { header: 'br', length: Number.NaN, size: content.length, digest };
  return Buffer.concat(await Array.fromAsync(bodies.read(body, about)));
}

test('content that can not be decoded is taken as it is sent the next time', async () => {
  const bodies = new EncodedBodies(new BoundedMap(10));
  await assert.rejects(read(bodies, bodyOf(content)), { code: 'parent-invalid' });
  assert.deepEqual(await read(bodies, bodyOf(content)), content);
});

test('a lost connection says nothing about the encoding', async () => {
  const bodies = new EncodedBodies(new BoundedMap(10));
  const encoded = brotliCompressSync(content);
  const lost = new Fault('parent-unreachable', 'the connection to the parent was lost');
  await assert.rejects(read(bodies, bodyOf(encoded.subarray(0, 6 * PART), lost)), lost);
  assert.deepEqual(await read(bodies, bodyOf(encoded)), content);
});
