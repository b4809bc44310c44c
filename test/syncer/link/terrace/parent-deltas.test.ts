import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { RepositoryNames } from '#proto/oci/repository-names.ts';
import { DELTAS_PATH, type DeltaAnswer } from '#proto/sync/delta-exchange.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { offersIn, ParentDeltas } from '../../../../services/syncer/link/terrace/parent-deltas.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const [TO, BASE, DELTA, OTHER] = ['1', '2', '3', '4'].map(digest) as [string, string, string, string];
const names = new RepositoryNames([{ name: 'line/*', from: 'plant/*' }]);

const held: HeldDelta = {
  to: TO,
  toSize: 1_000_000,
  from: [BASE],
  format: DELTA_FORMAT,
  kind: 'gzip',
  cpuMs: 10,
  digest: DELTA,
  size: 1_000,
};
const question = {
  repository: 'line/app',
  wanted: [{ digest: TO, size: 1_000_000 }],
  layers: [TO],
  held: [[BASE]],
  wait: 0,
};
const delta = (changes: Partial<HeldDelta> = {}): DeltaAnswer => ({
  deltas: [{ to: TO, state: 'delta', delta: { ...held, ...changes } }],
});

async function serving(listener: RequestListener, deltas = [DELTA_FORMAT]) {
  const server = await serveHttp(listener);
  const link = new ParentLink({ url: server.url });
  return {
    deltas: new ParentDeltas(link, { deltas }, names),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('the question has the names of the parent, and the answer says which delta there is', async () => {
  const asked: unknown[] = [];
  await using parent = await serving(async (request, response) => {
    asked.push([request.method, request.url, await json(request)]);
    response.end(JSON.stringify(delta()));
  });
  assert.deepEqual(await parent.deltas.ask(question, signal), new Map([[TO, held]]));
  assert.deepEqual(asked, [
    ['POST', DELTAS_PATH, { ...question, repository: 'plant/app', formats: [DELTA_FORMAT] }],
  ]);
});

test('deltas are offered by a parent that announces a format that is known here', async () => {
  for (const [formats, isOffered] of [
    [[], false],
    [[DELTA_FORMAT + 1], false],
    [[DELTA_FORMAT + 1, DELTA_FORMAT], true],
  ] as const) {
    await using parent = await serving((_, response) => void response.end(), [...formats]);
    assert.equal(parent.deltas.areOffered, isOffered);
  }
});

/** Statuses and bodies after which there is no delta, or after which the question may be repeated. */
const refusals: [status: number, body: string, fault: string | undefined][] = [
  [404, '', undefined],
  [403, '', undefined],
  [200, '<h1>Welcome</h1>', undefined],
  [200, JSON.stringify({ deltas: [{ to: TO, state: 'perhaps' }] }), undefined],
  [429, '', 'busy'],
  [503, '', 'parent-unreachable'],
];
for (const [status, body, fault] of refusals) {
  test(`an answer ${status} ${body.slice(0, 20)} is ${fault ?? 'no offer'}`, async () => {
    await using parent = await serving((_, response) => void response.writeHead(status).end(body));
    const asked = parent.deltas.ask(question, signal);
    if (fault) await assert.rejects(asked, (error) => Fault.is(error) && error.code === fault);
    else assert.equal(await asked, undefined);
  });
}

test('a delta that can not make the blob of what is here counts as none', () => {
  const wrong: Partial<HeldDelta>[] = [
    { to: OTHER },
    { toSize: 999_999 },
    { size: 1_000_000 },
    { format: DELTA_FORMAT + 1 },
    { from: [BASE, OTHER] },
    { digest: TO },
  ];
  for (const changes of wrong) assert.deepEqual([...offersIn(delta(changes), question).values()], ['plain']);
  const image = { ...question, layers: [TO, DELTA] };
  assert.deepEqual([...offersIn(delta(), image).values()], ['plain']);
  assert.deepEqual([...offersIn({ deltas: [] }, question).values()], ['plain']);
  assert.deepEqual([...offersIn({ deltas: [{ to: TO, state: 'making' }] }, question).values()], ['making']);
});

test('bytes of a delta are requested for the repository of its target', async () => {
  const paths: (string | undefined)[] = [];
  const bytes = Buffer.alloc(1_000, 7);
  await using parent = await serving((request, response) => {
    paths.push(request.url);
    response.writeHead(206, { 'content-range': 'bytes 0-999/1000' }).end(bytes);
  });
  const { body } = await parent.deltas
    .source()
    .blob('line/app', DELTA, 1_000, { start: 0, end: 1_000 }, signal);
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), bytes);
  assert.deepEqual(paths, [`${DELTAS_PATH}/${DELTA}?repository=plant%2Fapp&wait=4`]);
});

test('the parent says of what a pushed delta may be made', async () => {
  const asked: unknown[] = [];
  const answer = { present: [OTHER], held: [BASE] };
  await using parent = await serving(async (request, response) => {
    asked.push([request.method, request.url, await json(request)]);
    response.end(JSON.stringify(answer));
  });
  assert.deepEqual(await parent.deltas.bases(question, signal), answer);
  const body = { ...question, repository: 'plant/app', formats: [DELTA_FORMAT] };
  assert.deepEqual(asked, [['POST', `${DELTAS_PATH}/bases`, body]]);
});

test('a parent that refuses, or answers otherwise, holds no bases', async () => {
  for (const [status, body] of [
    [403, '{}'],
    [404, ''],
    [200, '{"held":["latest"],"present":[]}'],
    [200, 'no JSON'],
  ] as const) {
    await using parent = await serving((request, response) => {
      request.resume();
      response.writeHead(status).end(body);
    });
    assert.equal(await parent.deltas.bases(question, signal), undefined, `${status} ${body}`);
  }
});

test('the parent applies a pushed delta, or says that the blob itself has to be sent', async () => {
  const asked: unknown[] = [];
  let status = 201;
  await using parent = await serving(async (request, response) => {
    asked.push([request.method, request.url, await json(request)]);
    response.writeHead(status).end();
  });
  const push = { repository: 'line/app', delta: held, wait: 5 };
  assert.equal(await parent.deltas.apply(push, signal), true);
  assert.deepEqual(asked, [['POST', `${DELTAS_PATH}/apply`, { ...push, repository: 'plant/app' }]]);
  status = 202;
  assert.equal(await parent.deltas.apply(push, signal), false);
  for (status of [400, 403, 404, 405, 422]) {
    await assert.rejects(parent.deltas.apply(push, signal), { code: 'delta-invalid' });
  }
  for (const [transient, code] of [
    [503, 'parent-unreachable'],
    [429, 'busy'],
  ] as const) {
    status = transient;
    await assert.rejects(parent.deltas.apply(push, signal), { code });
  }
});
