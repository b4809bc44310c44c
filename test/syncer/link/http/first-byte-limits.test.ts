import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { UNLIMITED } from '../../../../services/syncer/link/bandwidth/bandwidth.ts';
import type { LinkAgent } from '../../../../services/syncer/link/http/agent.ts';
import { FirstByteLimits } from '../../../../services/syncer/link/http/first-byte-limits.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { RequestSender, type SentRequest } from '../../../../services/syncer/link/http/request-sender.ts';
import { bodyOf } from '../../../../services/syncer/link/http/sending.ts';
import { serveHttp } from '../../../support/http-server.ts';
import { patience } from '../../../support/until.ts';

const STALL = 20_000;
const MIN = 60_000;
const parent = new URL('https://up.example');
const cold = new URL('https://up.example/v2/a/manifests/x?signature=1');
const again = new URL('https://up.example/v2/a/manifests/x?signature=2');
const blob = new URL('https://up.example/v2/a/blobs/x');
const other = new URL('https://up.example/v2/b/tags/list');
const foreign = new URL('https://blobs.example/v2/a/blobs/x');

function fixture() {
  const at = { now: 0 };
  const limits = new FirstByteLimits(STALL, parent, () => at.now);
  /** Times out until the limit no longer grows; returns the limits. */
  const grown = (url: URL) => {
    const all: number[] = [];
    for (let next: number | undefined = limits.limitFor(url); next; next = limits.timedOut(url, next)) {
      assert.equal(limits.limitFor(url), next);
      all.push(next);
      if (all.length > 10) break;
    }
    return all;
  };
  return { at, limits, grown };
}

test('the limit of a resource doubles from the stall time to 10 minutes, where the host works', () => {
  const { limits, grown } = fixture();
  limits.answered(other, 100, true);
  assert.deepEqual(
    grown(cold),
    [20, 40, 80, 160, 320, 600].map((s) => s * 1_000),
  );
  assert.equal(limits.limitFor(again), 600_000);
  assert.equal(limits.limitFor(other), STALL);
});

test('a host that has not answered, has answered with errors only, or not recently, gets the stall time', () => {
  const { at, limits, grown } = fixture();
  assert.deepEqual(grown(cold), [STALL]);
  limits.answered(other, 100, false);
  assert.deepEqual(grown(cold), [STALL]);
  limits.answered(other, 100, true);
  assert.equal(limits.timedOut(cold, STALL), 2 * STALL);
  at.now += 20 * MIN;
  assert.equal(limits.limitFor(cold), STALL);
  assert.equal(limits.timedOut(cold, STALL), undefined);
  limits.answered(other, 100, true);
  assert.equal(limits.limitFor(cold), STALL);
});

test('the parent has answered somebody before a blob, or content of another host, is requested', () => {
  const { grown } = fixture();
  const doubled = [20, 40, 80, 160, 320, 600].map((s) => s * 1_000);
  assert.deepEqual([grown(blob), grown(foreign)], [doubled, doubled]);
});

test('what a slow answer took is granted to all resources of its host, for 20 minutes', () => {
  const { at, limits } = fixture();
  limits.answered(cold, 211_000, true);
  assert.equal(limits.limitFor(other), 422_000);
  limits.answered(other, 417_000, true);
  assert.equal(limits.limitFor(cold), 600_000);
  limits.answered(other, 100, true);
  limits.answered(other, 11_000, true);
  assert.equal(limits.limitFor(cold), 600_000);
  assert.equal(limits.limitFor(foreign), STALL);
  at.now += 20 * MIN;
  limits.answered(other, 100, true);
  assert.equal(limits.limitFor(cold), STALL);
});

test('the limits of 1,000 resources are remembered', () => {
  const { limits } = fixture();
  limits.answered(other, 100, true);
  for (let at = 0; at <= 1_000; at += 1) limits.timedOut(new URL(`https://up.example/${at}`), STALL);
  assert.equal(limits.limitFor(new URL('https://up.example/0')), STALL);
  assert.equal(limits.limitFor(new URL('https://up.example/1')), 2 * STALL);
});

test('a request without an answer in time gets more time at the next attempt, if the parent works', async () => {
  const { signal } = new AbortController();
  const ask = { scope: 'repository:a:pull', signal };
  const logged: object[] = [];
  let requests = 0;
  await using server = await serveHttp((request, response) => {
    if (request.url === '/v2/cold') requests += 1;
    if (request.url !== '/v2/cold' || requests === 3) response.end();
  });
  const log = { info: (fields: object) => logged.push(fields), warn: () => assert.fail() };
  // An answer that takes longer than this is slow, and raises the limit.
  const stallMs = patience(300);
  await using link = new ParentLink({ url: server.url, stallMs, log });
  const request = `GET ${server.url}/v2/cold`;
  const unanswered = (message: string) => ({
    ...{ code: 'parent-unreachable', message: `${request}: ${message}` },
    detail: { isSlow: message.includes('next') },
  });
  await assert.rejects(link.request('/v2/cold', ask), unanswered(`no answer within ${stallMs / 1_000} s`));
  assert.deepEqual(logged, []);
  await (await link.request('/v2/', ask)).body.dump();
  const longer = unanswered(
    `no answer within ${stallMs / 1_000} s, the next attempt waits ${stallMs / 500} s`,
  );
  await assert.rejects(link.request('/v2/cold', ask), longer);
  await (await link.request('/v2/cold', ask)).body.dump();
  assert.deepEqual(logged, [{ request, ms: stallMs, nextMs: 2 * stallMs }]);
});

test('each attempt has its limit for the head of the answer; a long poll and a body do not grow', async () => {
  const { signal } = new AbortController();
  const limits: unknown[] = [];
  let isSlow = false;
  const agent = {
    request: async ({ headersTimeout }: { headersTimeout: number }) => {
      limits.push(headersTimeout);
      if (isSlow) throw Object.assign(new Error('slow'), { code: 'UND_ERR_HEADERS_TIMEOUT' });
      return { statusCode: 200, headers: {}, body: Readable.from([]) };
    },
  } as unknown as LinkAgent;
  const sender = new RequestSender({
    agents: () => ({ parent: agent, others: agent }),
    parent: cold,
    stallMs: STALL,
    bandwidth: UNLIMITED,
  });
  const send = (fields: Partial<SentRequest> = {}) =>
    sender.send(cold, { what: 'GET it', signal, isHeld: true, start: async () => {}, ...fields });
  await send();
  isSlow = true;
  for (let attempt = 0; attempt < 3; attempt += 1)
    await assert.rejects(send(), { code: 'parent-unreachable', message: /no answer within/ });
  await assert.rejects(send({ waitMs: 1_000 }), { code: 'parent-unreachable' });
  await assert.rejects(send({ method: 'PUT', body: bodyOf(Buffer.from('x')) }));
  assert.deepEqual(limits, [STALL, STALL, 2 * STALL, 4 * STALL, STALL + 1_000, 0]);
});
