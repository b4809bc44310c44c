import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { LayersReport } from '#proto/status/layers-below.ts';
import { readBody } from '../../../../services/gateway/http/read-body.ts';
import type { ParentLink, RequestOptions } from '../../../../services/syncer/link/http/parent-link.ts';
import { isTooSlow, ParentReports } from '../../../../services/syncer/link/terrace/parent-reports.ts';

/** The meaning of a parent's answer to a report: a transient fault, a refused content, or no support of reports. */

const report: LayersReport = { made: 'm', after: 0, events: [], layers: [] };
const signal = AbortSignal.any([]);

function parentAnswering(status: number, code: string) {
  let requests = 0;
  let slackMs: number | undefined;
  const link = {
    azure: false,
    request: async (_path: string, { body: sent }: RequestOptions) => {
      requests += 1;
      slackMs = sent?.slackMs;
      const body = Readable.from([Buffer.from(JSON.stringify({ errors: [{ code, message: 'no' }] }))]);
      return { statusCode: status, headers: {}, body, from: new URL('http://x'), own: true, stallMs: 1_000 };
    },
  } as unknown as ParentLink;
  return {
    reports: new ParentReports(link, 'line', { invalidate: () => {} }),
    count: () => requests,
    slack: () => slackMs,
  };
}

for (const [status, code] of [
  [408, 'SIZE_INVALID'],
  [429, 'TOOMANYREQUESTS'],
  [503, 'UNAVAILABLE'],
  // A body that arrived too slowly, as earlier versions answer.
  [400, 'SIZE_INVALID'],
] as const) {
  test(`an answer ${status} ${code} is a transient fault`, async () => {
    await assert.rejects(parentAnswering(status, code).reports.send(report, signal), (error) =>
      Fault.is(error, 'parent-unreachable', 'busy'),
    );
  });
}

for (const status of [400, 413, 422]) {
  test(`an answer ${status} refuses the content of the report`, async () => {
    const { reports } = parentAnswering(status, 'UNSUPPORTED');
    const answer = await reports.send(report, signal);
    assert.ok(answer && 'refused' in answer && Fault.is(answer.refused, 'parent-refused'));
  });
}

for (const status of [401, 403, 404, 405]) {
  test(`a parent that answers ${status} accepts no reports, and is not asked again`, async () => {
    const { reports, count } = parentAnswering(status, 'DENIED');
    assert.equal(await reports.send(report, signal), undefined);
    assert.equal(await reports.send(report, signal), undefined);
    assert.equal(count(), 1);
  });
}

test('a body that does not arrive in time is the fault too-slow', async () => {
  const body = new PassThrough();
  body.write('x');
  const reading = readBody(body as never, { what: 'report', limit: 10, withinMs: 5 });
  await assert.rejects(reading, (error) => Fault.is(error, 'too-slow'));
});

test('a report allows the parent 60 s more for its body, and 408 or 400 mean that it was too slow', async () => {
  for (const [status, code, expected] of [
    [408, 'SIZE_INVALID', true],
    [400, 'SIZE_INVALID', true],
    [503, 'UNAVAILABLE', false],
  ] as const) {
    const { reports, slack } = parentAnswering(status, code);
    const fault = await reports.send(report, signal).catch((error: unknown) => error);
    assert.equal(isTooSlow(fault), expected, `${status}`);
    assert.equal(slack(), 60_000);
  }
});
