import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import { test } from 'node:test';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { REQUEST_BYTES } from '../../../../services/syncer/link/bandwidth/bandwidth.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentArriving } from '../../../../services/syncer/link/terrace/arriving.ts';
import { Slots } from '../../../../services/syncer/transfer/slots.ts';
import { downloadBlob } from '../../../support/download.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();

/** A test server as a Terrace parent, and a client for it. */
async function serving(listener: RequestListener, idleMs?: number) {
  const server = await serveHttp(listener);
  const link = new ParentLink({ url: server.url });
  return {
    arriving: new ParentArriving(link, idleMs),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A blob of which the parent has more at each request. */
function growing(content: Buffer, step: number) {
  const counts = { present: 0, empty: 0, partial: 0 };
  const listener: RequestListener = ({ headers }: IncomingMessage, response) => {
    const [, first = 0, last = 0] = (/bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? []).map(Number);
    const end = Math.min(last + 1, counts.present);
    counts.present += step;
    if (end <= first) {
      counts.empty += 1;
      return response.writeHead(204).end();
    }
    counts.partial += 1;
    const range = `bytes ${first}-${end - 1}/${content.length}`;
    return response.writeHead(206, { 'content-range': range }).end(content.subarray(first, end));
  };
  return { counts, listener };
}

test('bytes that the parent does not have yet are requested again, which does not count as a failure', async () => {
  const content = randomBytes(3_000_000);
  const { counts, listener } = growing(content, 250_000);
  await using parent = await serving(listener);
  const slots = new Slots(3);
  await downloadBlob(content, parent.arriving.source(), slots);
  assert.ok(counts.empty > 0);
  assert.deepEqual(slots.gauge.read(), { bytes: content.length, failures: 0, refusals: 0 });
});

test('under a limit, bandwidth is taken for the bytes that arrive, not for the bytes requested', async () => {
  const content = randomBytes(1_000_000);
  const { counts, listener } = growing(content, 100_000);
  await using parent = await serving(listener);
  let taken = 0;
  const take = async (bytes: number) => {
    taken += bytes;
  };
  await downloadBlob(content, parent.arriving.source(), new Slots(3), { take, maxPieceBytes: undefined });
  assert.equal(taken, content.length + (counts.empty + counts.partial) * REQUEST_BYTES);
});

test('an attempt ends when no bytes arrive for long, or the parent no longer receives the blob', async () => {
  await using idle = await serving((_, response) => response.writeHead(204).end(), 10);
  await assert.rejects(downloadBlob(randomBytes(1_000), idle.arriving.source(), new Slots(3)), {
    code: 'unavailable',
  });
  await using without = await serving((_, response) => response.writeHead(404).end());
  await assert.rejects(downloadBlob(randomBytes(1_000), without.arriving.source(), new Slots(3)), {
    code: 'blob-unknown',
  });
});

test('a parent without a list of arriving blobs is not asked again', async () => {
  for (const [status, body] of [
    [404, '{}'],
    [401, ''],
    [200, '<html>'],
    [200, '{"blobs":1}'],
  ] as const) {
    let requests = 0;
    await using parent = await serving(({ url }, response) => {
      assert.ok(url?.startsWith(ARRIVING_PATH));
      requests += 1;
      response.writeHead(status).end(body);
    });
    for (let time = 0; time < 2; time += 1) {
      assert.equal(await parent.arriving.list(undefined, 0, signal), undefined);
    }
    assert.equal(requests, 1);
  }
  await using busy = await serving((_, response) => response.writeHead(503).end());
  await assert.rejects(busy.arriving.list(undefined, 0, signal), { code: 'parent-unreachable' });
});
