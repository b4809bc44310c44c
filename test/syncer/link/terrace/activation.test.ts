import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { ALREADY_ACTIVATED, type LayerIdentity } from '#proto/accounts/children.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ACTIVATION_RETRY, ParentActivation } from '../../../../services/syncer/link/terrace/activation.ts';
import { quiet } from '../../../support/bus.ts';
import { serveHttp } from '../../../support/http-server.ts';

/** Activation of a layer at its parent: when it is requested, and the meaning of the answers. */

const { signal } = new AbortController();
const instance = randomUUID();
const since = Date.UTC(2030, 0, 1);
const MINUTE = 60_000;

type Reply = { status: number; body?: unknown };

const activated = { status: 200, body: { child: 'line-1', instance, since } };
const taken = {
  status: 409,
  body: { errors: [{ code: 'ALREADY_ACTIVATED', message: ALREADY_ACTIVATED, detail: { since } }] },
};

/** A parent that answers with `reply`, and an instance that logs in there. */
async function rig(reply: Reply, username: string | undefined = 'line-1') {
  const requests: { method?: string | undefined; url?: string | undefined; body: string }[] = [];
  const at = { reply, now: since };
  const server = await serveHttp(async (request, response) => {
    requests.push({ method: request.method, url: request.url, body: await textOf(request) });
    const { status, body } = at.reply;
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
  });
  const link = new ParentLink({ url: server.url });
  const activation = new ParentActivation(link, username, () => at.now);
  const warnings: Record<string, unknown>[] = [];
  const log = { ...quiet, warn: (fields: object) => void warnings.push({ ...fields }) };
  return {
    at,
    requests,
    warnings,
    activation,
    confirm: (more: { identity?: LayerIdentity; withinMs?: number; skipBackoff?: boolean } = {}) =>
      activation.confirm({ identity: { instance }, withinMs: 0, skipBackoff: false, ...more }, log, signal),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a parent that does not know the start of a layer is told it again after six hours', async () => {
  await using parent = await rig({ status: 400 });
  const start = { id: randomUUID(), at: since, ended: 0, before: [] };
  const confirm = () => parent.confirm({ identity: { instance, start }, skipBackoff: true });
  for (const _ of [1, 2]) await confirm();
  parent.at.now += 6 * 60 * MINUTE;
  await confirm();
  assert.deepEqual(
    parent.requests.map(({ body }) => 'start' in JSON.parse(body)),
    [true, false, false, true, false],
  );
});

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

test('an instance requests activation under the name of its token, and again when the answer is too old', async () => {
  await using parent = await rig(activated, 'Line-1');
  assert.equal(parent.activation.tried, false);
  await parent.confirm();
  assert.equal(parent.activation.tried, true);
  assert.deepEqual(parent.requests, [
    { method: 'PUT', url: '/v2/_terrace/children/line-1', body: JSON.stringify({ instance }) },
  ]);
  parent.at.now += MINUTE - 1;
  await parent.confirm({ withinMs: MINUTE });
  assert.equal(parent.requests.length, 1);
  parent.at.now += 1;
  await parent.confirm({ withinMs: MINUTE });
  await parent.confirm();
  assert.equal(parent.requests.length, 3);
});

test('while another instance is activated, requests back off, and resume by themselves once it is not', async () => {
  await using parent = await rig(taken);
  const refused = {
    code: 'already-activated',
    message:
      /another instance of line-1 .* since 2030-01-01T.* "terrace child deactivate line-1" at the parent/,
  };
  await assert.rejects(parent.confirm(), refused);
  await assert.rejects(parent.confirm(), refused);
  assert.equal(parent.requests.length, 1, 'not before the retry is due');
  await assert.rejects(parent.confirm({ skipBackoff: true }), refused);
  assert.equal(parent.requests.length, 2, 'at once with `skipBackoff`');
  const [first, second] = parent.warnings.map(({ ms }) => Number(ms));
  assert.ok(first !== undefined && first >= 15_000 && first <= 30_000, `${first}`);
  assert.ok(second !== undefined && second >= 30_000 && second <= MINUTE, `${second}`);
  parent.at.reply = activated;
  parent.at.now += MINUTE;
  await parent.confirm();
  assert.equal(parent.requests.length, 3);
  // The next refusal counts as the first one.
  parent.at.reply = taken;
  await assert.rejects(parent.confirm(), refused);
  assert.equal(parent.warnings.at(-1)?.times, 1);
});

test('the backoff of activation doubles with jitter, up to five minutes', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 50].map((times) => backoffMs(times, ACTIVATION_RETRY, 1) / 1_000),
    [30, 60, 120, 240, 300, 300],
  );
  assert.equal(backoffMs(2, ACTIVATION_RETRY, 0), 30_000);
});

const unsupported: [why: string, reply: Reply][] = [
  ['the token is wrong', { status: 401 }],
  ['the token lacks the permission, or there are no accounts', { status: 403 }],
  ['the parent has no children', { status: 404 }],
  ['another server answers', { status: 200, body: '<html>log in</html>' }],
  [
    'the answer is for another instance',
    { status: 200, body: { ...activated.body, instance: randomUUID() } },
  ],
  ['there is another conflict', { status: 409, body: { errors: [{ code: 'DENIED' }] } }],
  ['an intermediary answers a conflict', { status: 409, body: 'conflict' }],
];
for (const [why, reply] of unsupported) {
  test(`activation is not needed if ${why} (${reply.status})`, async () => {
    await using parent = await rig(reply);
    await parent.confirm();
    await parent.confirm();
    assert.equal(parent.requests.length, 1);
    parent.at.now += 10 * MINUTE;
    await parent.confirm();
    await parent.confirm({ skipBackoff: true });
    assert.equal(parent.requests.length, 3);
  });
}

test('a parent that answers 503 is unreachable, and the request does not count as tried', async () => {
  await using parent = await rig({ status: 503 });
  await assert.rejects(parent.confirm(), { code: 'parent-unreachable' });
  assert.equal(parent.activation.tried, false);
});

for (const username of [undefined, '', 'ci_token', 'a.b', '-a']) {
  test(`a layer with the username ${username ?? '(none)'} is no child, and requests no activation`, async () => {
    await using parent = await rig(taken);
    const activation = new ParentActivation(new ParentLink({ url: 'http://127.0.0.1:1' }), username);
    assert.equal(activation.child, undefined);
    await activation.confirm({ identity: { instance }, withinMs: 0, skipBackoff: true }, quiet, signal);
    assert.deepEqual(parent.requests, []);
  });
}
