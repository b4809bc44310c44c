import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { LayersReport } from '#proto/status/layers-below.ts';
import { readBody } from '../../../services/gateway/http/read-body.ts';
import type { ParentLink, RequestOptions } from '../../../services/syncer/link/http/parent-link.ts';
import { isTooSlow, ParentReports } from '../../../services/syncer/link/parent/parent-reports.ts';

/** What a parent's answer to a report means: something passing, something in it, or that it takes none. */

const report: LayersReport = { made: 'm', after: 0, events: [], layers: [] };
const signal = AbortSignal.any([]);

function parentThat(status: number, code: string) {
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
  // A body that came too slowly, as an earlier version says it.
  [400, 'SIZE_INVALID'],
] as const) {
  test(`${status} ${code} passes`, async () => {
    await assert.rejects(parentThat(status, code).reports.send(report, signal), (error) =>
      Fault.is(error, 'parent-unreachable', 'busy'),
    );
  });
}

for (const status of [400, 413, 422]) {
  test(`${status} is about what the report holds`, async () => {
    const { reports } = parentThat(status, 'UNSUPPORTED');
    const answer = await reports.send(report, signal);
    assert.ok(answer && 'refused' in answer && Fault.is(answer.refused, 'parent-refused'));
  });
}

for (const status of [401, 403, 404, 405]) {
  test(`a parent that answers ${status} takes no reports, and is left alone`, async () => {
    const { reports, count } = parentThat(status, 'DENIED');
    assert.equal(await reports.send(report, signal), undefined);
    assert.equal(await reports.send(report, signal), undefined);
    assert.equal(count(), 1);
  });
}

test('a body that does not come in time is a fault that passes', async () => {
  const body = new PassThrough();
  body.write('x');
  const reading = readBody(body as never, { what: 'report', limit: 10, withinMs: 5 });
  await assert.rejects(reading, (error) => Fault.is(error, 'too-slow'));
});

test('a body on a slow link is waited for as long as the parent does, which says that it came too slowly', async () => {
  for (const [status, code, expected] of [
    [408, 'SIZE_INVALID', true],
    [400, 'SIZE_INVALID', true],
    [503, 'UNAVAILABLE', false],
  ] as const) {
    const { reports, slack } = parentThat(status, code);
    const fault = await reports.send(report, signal).catch((error: unknown) => error);
    assert.equal(isTooSlow(fault), expected, `${status}`);
    assert.equal(slack(), 60_000);
  }
});
