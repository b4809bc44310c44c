import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { ALREADY_ACTIVATED } from '#proto/accounts/children.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { ACTIVATION_RETRY, ParentActivation } from '../../../services/syncer/link/parent/activation.ts';
import { quiet } from '../../support/bus.ts';

/** The place of a layer at its parent: when it is asked for, and what the answers mean. */

const { signal } = new AbortController();
const instance = randomUUID();
const since = Date.UTC(2030, 0, 1);
const MINUTE = 60_000;

type Reply = { status: number; body?: unknown };

const place = { status: 200, body: { child: 'line-1', instance, since } };
const taken = {
  status: 409,
  body: { errors: [{ code: 'ALREADY_ACTIVATED', message: ALREADY_ACTIVATED, detail: { since } }] },
};

/** A parent that answers as it is told, and an instance that logs in there. */
async function rig(reply: Reply, username: string | undefined = 'line-1') {
  const requests: { method?: string | undefined; url?: string | undefined; body: string }[] = [];
  const at = { reply, now: since };
  const server = createServer(async (request, response) => {
    requests.push({ method: request.method, url: request.url, body: await textOf(request) });
    const { status, body } = at.reply;
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const link = new ParentLink({ url });
  const activation = new ParentActivation(link, username, () => at.now);
  const warned: Record<string, unknown>[] = [];
  const log = { ...quiet, warn: (fields: object) => void warned.push({ ...fields }) };
  return {
    at,
    requests,
    warned,
    activation,
    confirm: (more: { withinMs?: number; skipBackoff?: boolean } = {}) =>
      activation.confirm({ identity: { instance }, withinMs: 0, skipBackoff: false, ...more }, log, signal),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

test('an instance asks under the name of its token, and again when the last answer is too old', async () => {
  await using parent = await rig(place, 'Line-1');
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

test('while another instance has the place it asks less and less often, and goes on by itself', async () => {
  await using parent = await rig(taken);
  const refused = {
    code: 'already-activated',
    message:
      /another instance of line-1 .* since 2030-01-01T.* "terrace child deactivate line-1" at the parent/,
  };
  await assert.rejects(parent.confirm(), refused);
  await assert.rejects(parent.confirm(), refused);
  assert.equal(parent.requests.length, 1, 'not before its time');
  await assert.rejects(parent.confirm({ skipBackoff: true }), refused);
  assert.equal(parent.requests.length, 2, 'at once where somebody asks');
  const [first, second] = parent.warned.map(({ ms }) => Number(ms));
  assert.ok(first !== undefined && first >= 15_000 && first <= 30_000, `${first}`);
  assert.ok(second !== undefined && second >= 30_000 && second <= MINUTE, `${second}`);
  parent.at.reply = place;
  parent.at.now += MINUTE;
  await parent.confirm();
  assert.equal(parent.requests.length, 3);
  // The next refusal is a first one.
  parent.at.reply = taken;
  await assert.rejects(parent.confirm(), refused);
  assert.equal(parent.warned.at(-1)?.times, 1);
});

test('the times between are those of a doubling with jitter, up to five minutes', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 50].map((times) => backoffMs(times, ACTIVATION_RETRY, 1) / 1_000),
    [30, 60, 120, 240, 300, 300],
  );
  assert.equal(backoffMs(2, ACTIVATION_RETRY, 0), 30_000);
});

const free: [why: string, reply: Reply][] = [
  ['the token is not right', { status: 401 }],
  ['the token has no such right, or there are no accounts', { status: 403 }],
  ['the parent knows no children', { status: 404 }],
  ['something else answers', { status: 200, body: '<html>log in</html>' }],
  ['somebody else is meant', { status: 200, body: { ...place.body, instance: randomUUID() } }],
  ['another conflict', { status: 409, body: { errors: [{ code: 'DENIED' }] } }],
  ['a conflict of whatever stands between', { status: 409, body: 'conflict' }],
];
for (const [why, reply] of free) {
  test(`there is no place to have where ${why}: ${reply.status} is no failure`, async () => {
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

test('a parent that fails has not answered: the pass fails as it does without a link', async () => {
  await using parent = await rig({ status: 503 });
  await assert.rejects(parent.confirm(), { code: 'parent-unreachable' });
  assert.equal(parent.activation.tried, false);
});

for (const username of [undefined, '', 'ci_token', 'a.b', '-a']) {
  test(`who logs in as ${username ?? 'nobody'} is no child, and asks for nothing`, async () => {
    await using parent = await rig(taken);
    const activation = new ParentActivation(new ParentLink({ url: 'http://127.0.0.1:1' }), username);
    assert.equal(activation.child, undefined);
    await activation.confirm({ identity: { instance }, withinMs: 0, skipBackoff: true }, quiet, signal);
    assert.deepEqual(parent.requests, []);
  });
}
