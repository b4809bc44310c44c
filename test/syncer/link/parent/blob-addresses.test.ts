import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { BlobAddresses } from '../../../../services/syncer/link/parent/blob-addresses.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;
const PIECE = 4;
const PIECES = 16;

/** A registry that redirects to a blob host with a signature that counts, and the number of requests to both. */
async function fixture(
  serve: (request: IncomingMessage, response: ServerResponse, signed: string) => boolean,
) {
  const counts = { registry: 0, blobs: 0 };
  const authorizations = new Set<string | undefined>();
  const blobs = await serveHttp((request, response) => {
    counts.blobs += 1;
    authorizations.add(request.headers.authorization);
    const signed = new URL(request.url ?? '', 'http://x').searchParams.get('signed') ?? '';
    if (!serve(request, response, signed)) return;
    const [, start = 0, end = 0] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const range = `bytes ${start}-${end}/${PIECE * PIECES}`;
    response.writeHead(206, { 'content-range': range }).end(Buffer.alloc(Number(end) - Number(start) + 1));
  });
  const registry = await serveHttp(({ headers, url }, response) => {
    if (!headers.authorization) return response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    counts.registry += 1;
    return response.writeHead(307, { location: `${blobs.url}${url}?signed=${counts.registry}` }).end();
  });
  const link = new ParentLink({ url: registry.url, login: { username: 'layer', password: 'secret' } });
  const parent = new ParentRegistry(link);
  return {
    counts,
    authorizations,
    /** One piece of a blob. */
    piece: async (at: number, of = digest) => {
      const extent = { start: at * PIECE, end: (at + 1) * PIECE };
      let size = 0;
      for await (const part of (await parent.blob('app', of, PIECE * PIECES, extent, signal)).body)
        size += part.length;
      assert.equal(size, PIECE);
    },
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await blobs[Symbol.asyncDispose]();
    },
  };
}

test('all pieces of a blob use the address that the first one was redirected to, without credentials', async () => {
  await using rig = await fixture(() => true);
  for (let at = 0; at < PIECES; at += 1) await rig.piece(at);
  assert.deepEqual(rig.counts, { registry: 1, blobs: PIECES });
  await rig.piece(0, other);
  assert.deepEqual(rig.counts, { registry: 2, blobs: PIECES + 1 });
  assert.deepEqual([...rig.authorizations], [undefined]);
});

test('an address that is refused is replaced at once by a new one of the registry', async () => {
  for (const status of [400, 401, 403, 404, 410]) {
    const expired = new Set<string>();
    await using rig = await fixture((_, response, signed) => {
      if (expired.has(signed)) response.writeHead(status).end();
      return !expired.has(signed);
    });
    await rig.piece(0);
    expired.add('1');
    for (const at of [1, 2, 3]) await rig.piece(at);
    assert.deepEqual(rig.counts, { registry: 2, blobs: 5 });
  }
});

test('an address that fails or sends something else is not used again', async () => {
  const failures: [isAskedAtOnce: boolean, fail: (response: ServerResponse) => void][] = [
    [false, (response) => response.destroy()],
    [false, (response) => response.writeHead(503).end()],
    [true, (response) => response.writeHead(416).end()],
    [true, (response) => response.writeHead(206, { 'content-range': 'bytes 0-0/1' }).end('x')],
  ];
  for (const [isAskedAtOnce, fail] of failures) {
    await using rig = await fixture((_, response, signed) => {
      if (signed === '1' && rig.counts.blobs === 2) fail(response);
      return rig.counts.blobs !== 2;
    });
    await rig.piece(0);
    if (!isAskedAtOnce) await assert.rejects(rig.piece(1));
    await rig.piece(1);
    assert.deepEqual(rig.counts, { registry: 2, blobs: 3 });
  }
});

test('an address is used for ten minutes at most, and 256 are remembered', () => {
  let now = 0;
  const addresses = new BlobAddresses(() => now);
  const url = new URL('https://blobs.example/?signed=1');
  addresses.served('app', digest, url);
  now = 9 * 60_000;
  addresses.served('app', digest, new URL(url));
  assert.equal(addresses.get('app', digest), url);
  assert.equal(addresses.get('other', digest), undefined);
  now = 10 * 60_000;
  assert.equal(addresses.get('app', digest), undefined);
  addresses.served('app', digest, url);
  for (let at = 0; at < 256; at += 1) addresses.served(`app${at}`, digest, url);
  assert.equal(addresses.get('app', digest), undefined);
  assert.equal(addresses.get('app255', digest), url);
});
