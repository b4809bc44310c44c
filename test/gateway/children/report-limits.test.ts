import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { reportPath } from '#proto/status/layers-below.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** Limits of what reports of the layers below may cost the layer above. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

function post(child: string, report: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  return layer.fetch('POST', reportPath(child), { headers, body: gzipSync(JSON.stringify(report)) });
}

test('all of a report counts towards the allowance of its child, before it is parsed', async () => {
  const body = { made: 'm', events: [], more: 'x'.repeat(2_000_000) };
  const answers: number[] = [];
  while (answers.length < 10 && answers.at(-1) !== 429) answers.push((await post('noise', body)).status);
  deepEqual(answers.at(-1), 429);
  const refused = await post('noise', '[');
  equal(refused.status, 400, 'a small one is parsed');
});

/** Starts a report whose body ends with a call of `end`. */
function startReport(child: string): { end: () => void; answer: Promise<Answer> } {
  const sent = request(new URL(reportPath(child), layer.url), { method: 'POST' });
  const answer = once(sent, 'response').then(async ([response]: IncomingMessage[]) => {
    const { statusCode, headers } = response as IncomingMessage;
    return { status: statusCode, retryAfter: headers['retry-after'], text: await text(response as Readable) };
  });
  sent.write(' ');
  return { end: () => void sent.end(JSON.stringify({ made: 'm', events: [] })), answer };
}
type Answer = { status: number | undefined; retryAfter: string | undefined; text: string };

test('a child may have two reports in progress, and another one is refused with Retry-After', async () => {
  const reports = ['twice', 'twice', 'twice'].map(startReport);
  // The last one to arrive is answered first.
  const [refused, answer] = await Promise.race(reports.map(async (one) => [one, await one.answer] as const));
  equal(answer.status, 429);
  match(answer.retryAfter ?? '', /^[1-9]$/);
  match(answer.text, /twice already has 2 reports in progress/);
  const [first, second] = reports.filter((one) => one !== refused) as [typeof refused, typeof refused];
  equal((await post('another', { made: 'm', events: [] })).status, 200, 'other children are not affected');
  // A report does not hold the turn of its child while its body is received.
  second.end();
  equal((await second.answer).status, 200);
  equal((await post('twice', { made: 'm', events: [] })).status, 200);
  first.end();
  equal((await first.answer).status, 200);
});

test('a report with too many values is refused before they are created', async () => {
  const answer = await post('bomb', {
    made: 'm',
    events: [],
    more: Array.from({ length: 120_000 }, () => []),
  });
  equal(answer.status, 413);
  match(await answer.text(), /more than 100000 values/);
});

test('a report of the largest size that Terrace sends is accepted', async () => {
  const link = {
    ...{ state: 'Unhealthy' as const, since: 1, lastSync: 1, detail: 'x', code: 'busy', coordinator: 'c' },
    ...{
      passes: { count: 1, last: 1, announced: 1 },
      unmatched: Array.from({ length: 50 }, (_, n) => `r${n}`),
    },
    ...{ window: { open: true, until: 1 }, live: true, next: 1 },
  };
  const own = { name: 'line', mode: 'ReadOnly' as const, at: 1, leftOut: 0, link };
  const held = { repositories: 1, tags: 1, blobs: 1, bytes: 1 };
  const layers = Array.from({ length: 256 }, (_, n) => ({
    ...{
      ...own,
      held,
      path: n === 0 ? [] : Array.from({ length: 16 }, (_, at) => `${'abcdefghijklmnop'[at]}${n}`),
    },
  }));
  const fields = Array.from({ length: 40 }, (_, n) => `f${n}`);
  const event = {
    ...{ specversion: '1.0', source: '/layers/line/a', type: 'terrace.configuration.changed' },
    ...{ time: '2030-01-01T00:00:00.000Z', layer: 'line', data: { fields } },
  };
  const events = Array.from({ length: 500 }, (_, n) => ({
    sequence: n + 1,
    event: { id: `a-${n + 1}`, ...event },
  }));
  const answer = await post('full', { made: 'm', after: 0, events, layers });
  equal(answer.status, 200);
  deepEqual(await answer.json(), { place: { made: 'm', sequence: 500, id: 'a-500' } });
});
