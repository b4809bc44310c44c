import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { Digest } from '#proto/oci/names.ts';
import { Extents } from '../../../../services/syncer/link/answers/extents.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}` as Digest;
const content = Buffer.from('0123456789abcdefghij');
const size = content.length;
const extents = [
  { start: 2, end: 5 },
  { start: 9, end: 12 },
];

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

const several: Answering = (_, response) => {
  const part = ({ start, end }: { start: number; end: number }) =>
    `--B\r\nContent-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n${content.subarray(start, end)}\r\n`;
  response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary=B' });
  response.end(`${extents.map(part).join('')}--B--\r\n`);
};
const one =
  (start: number, end: number): Answering =>
  (_, response) => {
    response.writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${size}` });
    response.end(content.subarray(start, end));
  };
const status =
  (code: number): Answering =>
  (_, response) =>
    response.writeHead(code).end(code === 200 ? content : undefined);

/** Asks a parent for the extents, twice. @returns what came each time, and the number of requests */
async function ask(answer: Answering) {
  const ranges: (string | undefined)[] = [];
  await using server = await serveHttp((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await using link = new ParentLink({ url: server.url });
  const parent = new ParentRegistry(link);
  const results: (string | undefined)[] = [];
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const parts = await parent.blobParts('app', digest, size, extents, signal);
    if (!parts) results.push(undefined);
    else {
      const received = new Extents();
      for await (const { at, bytes } of parts) {
        assert.equal(String(bytes), String(content.subarray(at, at + bytes.length)));
        received.add({ start: at, end: at + bytes.length });
      }
      results.push([...received].map(({ start, end }) => `${start}-${end}`).join());
    }
  }
  for (const range of ranges) assert.equal(range, 'bytes=2-4,9-11');
  return { results, requests: ranges.length };
}

test('a parent that sends several parts is asked for them each time', async () => {
  assert.deepEqual(await ask(several), { results: ['2-5,9-12', '2-5,9-12'], requests: 2 });
});

test('a parent that does not is asked once: its one part is used, if it is not much more than was asked for', async () => {
  assert.deepEqual(await ask(one(2, 5)), { results: ['2-5', undefined], requests: 1 });
  assert.deepEqual(await ask(one(2, 12)), { results: ['2-12', undefined], requests: 1 });
  assert.deepEqual(await ask(one(0, size)), { results: [undefined, undefined], requests: 1 });
  for (const code of [200, 400, 403, 416, 431, 501])
    assert.deepEqual(await ask(status(code)), { results: [undefined, undefined], requests: 1 }, String(code));
});

test('other answers are faults, as for one part', async () => {
  await assert.rejects(ask(status(404)), { code: 'blob-unknown' });
  await assert.rejects(ask(status(503)), { code: 'parent-unreachable' });
});

test('parts are read where the parent redirects to, also when that address has expired', async () => {
  let addresses = 0;
  const used: string[] = [];
  await using store = await serveHttp((request, response) => {
    used.push(request.url ?? '');
    if (used.length === 2) response.writeHead(403).end('expired');
    else several(request, response);
  });
  await using server = await serveHttp((_, response) => {
    addresses += 1;
    response.writeHead(307, { location: `${store.url}/blob?signature=${addresses}` }).end();
  });
  await using link = new ParentLink({ url: server.url });
  const parent = new ParentRegistry(link);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const parts = await parent.blobParts('app', digest, size, extents, signal);
    assert.ok(parts);
    assert.equal((await Array.fromAsync(parts)).length, 2);
  }
  assert.deepEqual(used, ['/blob?signature=1', '/blob?signature=1', '/blob?signature=2']);
});
