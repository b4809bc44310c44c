import { equal, ok } from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { patience, until } from '../../support/until.ts';
import { CONTENT, request, type Sent, type Step, steps, write } from '../fuzz-requests.ts';
import { stream } from '../fuzz-streams.ts';
import { gatewayProcess } from '../gateway-process.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';

const REQUESTS = process.env.TERRACE_FULL ? 50_000 : 1_200;
/** Max growth of memory after the first fifth of the runs, in MiB: less than garbage collection makes it vary by. */
const GROWTH = 48;
/** Max wait for an answer, in ms. */
const PATIENCE_MS = patience(10_000);

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
await layer.blob('a/b', CONTENT);
const gateway = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite', TERRACE_LOG: 'info' });

const seen = new Map<number, number>();
let sent = 0;

/** Sends the bytes on a connection of their own. @returns the full answer, in which no status is 500 or more */
async function exchange({ bytes, complete }: Sent): Promise<string> {
  sent += 1;
  const connection = await RawConnection.open(gateway.port);
  const timeout = setTimeout(() => connection.socket.destroy(new Error('timeout')), PATIENCE_MS);
  // The connection ends after an incomplete request, which the server must detect.
  if (complete) connection.send(bytes);
  else connection.socket.end(bytes);
  const answer = await connection.closed;
  clearTimeout(timeout);
  const exchanged = `${bytes.toString('latin1').slice(0, 400)}\n→\n${answer.slice(0, 300)}`;
  ok(connection.socket.errored?.message !== 'timeout', `incomplete answer to ${exchanged}`);
  const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map((match) => Number(match[1]));
  ok(statuses.length > 0 || !complete, `no answer to ${exchanged}`);
  for (const status of statuses) {
    ok(status < 500, exchanged);
    seen.set(status, (seen.get(status) ?? 0) + 1);
  }
  return answer;
}

async function upload(sequence: Step[]): Promise<void> {
  const started = await exchange(write('POST', '/v2/a/b/blobs/uploads/', '', ''));
  const location = /^location: (\S+)/im.exec(started)?.[1] ?? '';
  for (const { method, query, head, body, truncated } of sequence) {
    await exchange(write(method, `${location}${query}`, head, body, truncated && body !== undefined));
  }
}

const anyClient = fc.oneof(
  { weight: 6, arbitrary: request.map((what) => () => exchange(what)) },
  { weight: 3, arbitrary: stream.map((what) => () => exchange(what)) },
  { weight: 1, arbitrary: steps.map((sequence) => () => upload(sequence)) },
);

/** Resident memory of the gateway, in MiB. */
async function resident(): Promise<number> {
  const status = await readFile(`/proc/${gateway.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
const openFiles = async () => (await readdir(`/proc/${gateway.child.pid}/fd`)).length;

test('no request makes the gateway fail, exit or grow in memory', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const opened = await openFiles();
  const memory: number[] = [];
  const batch = fc.array(anyClient, { minLength: 16, maxLength: 16 });
  const runs = Math.ceil(REQUESTS / 18);
  const property = fc.asyncProperty(batch, async (clients) => {
    await Promise.all(clients.map((client) => client()));
    equal(gateway.child.exitCode ?? gateway.child.signalCode, null, 'the gateway has exited');
    memory.push(await resident());
  });
  await fc.assert(property, { numRuns: runs, seed, endOnFailure: true });

  equal((await fetch(`http://127.0.0.1:${gateway.port}/healthz`)).status, 200);
  await until(async () => (await openFiles()) <= opened + 2);
  const warm = memory.slice(Math.floor(memory.length / 5));
  // The minimum of the first and of the last fifth: memory right after garbage collection.
  const fifth = Math.ceil(warm.length / 5);
  const [before, later] = [Math.min(...warm.slice(0, fifth)), Math.min(...warm.slice(-fifth))];
  const counts = [...seen].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  t.diagnostic(`${sent} requests, ${counts.join(', ')}`);
  t.diagnostic(
    `resident memory ${before.toFixed()} MiB, later ${later.toFixed()}, at most ${Math.max(...memory).toFixed()}`,
  );
  ok(later - before < GROWTH, `resident memory went from ${before} to ${later} MiB`);
  // The requests reach every kind of answer, not only refusals.
  for (const status of [200, 201, 202, 204, 206, 400, 404, 405, 416]) {
    ok(seen.has(status), `${status} was never answered: ${counts}`);
  }
});
