import assert from 'node:assert/strict';
import { test } from 'node:test';
import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import { HostHold } from '../../../../services/syncer/link/http/host-hold.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const MIN = 60_000;
const WALL = Date.UTC(2026, 10, 29, 12);

function fixture(isWrite = false) {
  const at = { now: 1_000_000 };
  const logged: Record<string, unknown>[] = [];
  const log = { warn: (fields: object) => logged.push(fields as Record<string, unknown>) };
  const clock = { now: () => at.now, wall: () => WALL, random: () => 1 };
  const hold = new HostHold({ host: 'up.example', isWrite, log, clock });
  const enter = (kind = '') => hold.enter('GET it', signal, kind);
  /** One request with this answer; the hold that follows, in s. */
  const answered = async (status: number, headers = {}, kind = '') =>
    (await enter(kind)).answered(status, headers) / 1_000;
  return { at, logged, enter, answered };
}

/** Rejects with `busy`, and the wait in the fault. */
const isBusy = (waitMs: number) => (error: unknown) => {
  assert.ok(Fault.is(error, 'busy'));
  assert.deepEqual(error.detail, { status: 429, retryAfterMs: waitMs });
  assert.match(error.message, /^GET it: the parent limits requests until 2026-11-29T12:\d\d:\d\d\.\d{3}Z$/);
  return true;
};

test('without a time in the answer, holds grow from 15 s to half an hour, also if other requests succeed', async () => {
  const { at, logged, answered, enter } = fixture();
  for (const seconds of [15, 30, 60, 120, 240, 480, 960, 1_800, 1_800]) {
    assert.equal(await answered(429), seconds);
    await assert.rejects(enter(), isBusy(seconds * 1_000));
    at.now += seconds * 1_000;
    assert.equal(await answered(200), 0);
  }
  assert.deepEqual(logged[1], { host: 'up.example', ms: 30_000, times: 2, at: '2026-11-29T12:00:30.000Z' });
  assert.equal(logged.length, 9);
  at.now += 31 * MIN;
  assert.equal(await answered(429), 15);
});

test('a requested hold is honoured, and bounded by an hour', async () => {
  const { at, answered, enter } = fixture();
  assert.equal(await answered(429, { 'retry-after': '60' }), 65);
  await assert.rejects(enter(), isBusy(65_000));
  at.now += 65_000;
  assert.equal(await answered(429, { 'ratelimit-reset': '21600' }), 3_600);
  at.now += 3_600_000;
  // A parent that names no time at all is asked less and less often.
  const waits: number[] = [];
  for (let count = 0; count < 9; count += 1) {
    waits.push(await answered(429, { 'retry-after': '0' }));
    at.now += 60_000;
  }
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60, 60, 60]);
});

test('a parent that limits a rate is held briefly, however often it does', async () => {
  const { at, answered } = fixture();
  for (const headers of [{}, { 'retry-after': '0' }]) {
    for (const _ of [1, 2, 3, 4, 5]) {
      for (let good = 0; good < 20; good += 1) assert.equal(await answered(good % 2 ? 200 : 404), 0);
      const seconds = await answered(429, headers);
      assert.ok(seconds <= 2, `${seconds} s`);
      at.now += seconds * 1_000;
    }
  }
  assert.equal(await answered(429), 4);
  at.now += 4_000;
  assert.equal(await answered(429), 8);
});

test('good answers to requests of another kind do not make a hold shorter', async () => {
  const { at, answered } = fixture();
  for (const seconds of [15, 30, 60]) {
    assert.equal(await answered(429, {}, 'GET manifests'), seconds);
    at.now += seconds * 1_000;
    for (let good = 0; good < 30; good += 1) assert.equal(await answered(200, {}, 'HEAD manifests'), 0);
  }
});

test('requests that were in flight count once, and after the hold one goes first', async () => {
  const { at, answered, enter } = fixture();
  const turns = await Promise.all(Array.from({ length: 8 }, () => enter()));
  for (const turn of turns) assert.equal(turn.answered(429, {}), 15_000);
  at.now += 15_000;
  const first = await enter();
  let entered = 0;
  const others = Array.from({ length: 8 }, async () => {
    const turn = await enter();
    entered += 1;
    return turn;
  });
  await new Promise(setImmediate);
  assert.equal(entered, 0);
  first.answered(200, {});
  await new Promise(setImmediate);
  assert.equal(entered, 2);
  (await others[0])?.answered(200, {});
  (await others[1])?.failed();
  await new Promise(setImmediate);
  assert.equal(entered, 6);
  assert.equal(await (await others[2])?.answered(429, {}), 30_000);
  await Promise.all(others.slice(3, 6).map(async (turn) => (await turn).answered(200, {})));
  for (const other of others.slice(6)) await assert.rejects(other, isBusy(30_000));
  at.now += 30_000;
  assert.equal(await answered(429), 60);
});

test('the last request that a limit allows is followed by a hold, if the parent counts down', async () => {
  const { at, answered } = fixture();
  const none = { 'ratelimit-remaining': '0', 'ratelimit-reset': '40' };
  assert.equal(await answered(200, none), 0);
  assert.equal(await answered(200, { 'ratelimit-remaining': '1;w=60' }), 0);
  assert.equal(await answered(200, { 'ratelimit-remaining': '0;w=60' }), 0);
  assert.equal(await answered(200, none), 45);
  at.now += 45_000;
  assert.equal(await answered(200), 0);
});

test('a short wait for one upload does not hold back others, and a long one does', async () => {
  const { answered } = fixture(true);
  assert.equal(await answered(429, { 'retry-after': '5' }), 0);
  assert.equal(await answered(429, { 'retry-after': '60' }), 65);
});

test('a short hold is waited for', async () => {
  const hold = new HostHold({ host: 'up.example', backoff: { firstMs: 20, maxMs: 20 } });
  const heldMs = (await hold.enter('GET it', signal)).answered(429, {});
  assert.ok(heldMs > 0 && heldMs <= 20);
  const before = performance.now();
  (await hold.enter('GET it', signal)).answered(200, {});
  assert.ok(performance.now() - before >= heldMs - 1);
  const end = new AbortController();
  (await hold.enter('GET it', signal)).answered(429, { 'retry-after': '4' });
  const waiting = hold.enter('GET it', end.signal);
  end.abort(new Error('aborted by the test'));
  await assert.rejects(waiting, /^Error: aborted by the test$/);
});

test('over several passes, a parent that limits all requests gets one at a time, ever more rarely', async () => {
  const asked: string[] = [];
  const logged: string[] = [];
  await using server = await serveHttp((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(request.url?.includes('/manifests/') ? 429 : 200).end();
  });
  const log = { info: () => {}, warn: (_: object, message: string) => logged.push(message) };
  await using link = new ParentLink({ url: server.url, hold: { firstMs: 60 * MIN, maxMs: 60 * MIN }, log });
  const parent = new ParentRegistry(link);
  for (const _pass of [1, 2, 3]) {
    const failures: string[] = [];
    const tags = Array.from({ length: 31 }, (_, at) => `t${at}`);
    await each(tags, 4, async (tag) => {
      await assert.rejects(parent.manifest('app', tag, signal), (error: unknown) => {
        assert.ok(Fault.is(error, 'busy'));
        assert.equal(error.detail?.status, 429);
        failures.push(error.message);
        return true;
      });
    });
    assert.equal(failures.length, 31);
    for (const failure of failures) assert.match(failure, /limits requests until \d{4}-/);
  }
  assert.ok(asked.length <= 4, asked.join(', '));
  assert.deepEqual(logged, ['the parent limits requests; holding them back']);
  // A limit of pulls does not hold back pushes, and a Terrace limits each of its own paths by itself.
  const ask = { scope: 'repository:app:pull,push', signal };
  await (await link.request('/v2/app/blobs/uploads/', { ...ask, method: 'POST' })).body.dump();
  await (await link.request('/v2/_terrace/changes', ask)).body.dump();
  await assert.rejects(link.request('/v2/', ask), { code: 'busy' });
});
