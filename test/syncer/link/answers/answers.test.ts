import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import {
  MAX_REQUESTED_WAIT_MS,
  refusal,
  retryAfter,
  retryDelay,
} from '../../../../services/syncer/link/answers/answers.ts';
import { unreachable } from '../../../../services/syncer/link/answers/bodies.ts';
import { nextIn } from '../../../../services/syncer/link/answers/link-header.ts';
import { verdictOf } from '../../../../services/syncer/notify/verdict.ts';

test('Retry-After is read as seconds and as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(retryAfter('7', now), 7_000);
  assert.equal(retryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now), 30_000);
  assert.equal(retryAfter('Wed, 31 Dec 2025 23:00:00 GMT', now), 0);
  assert.equal(retryAfter('soon', now), undefined);
  assert.equal(retryAfter(undefined, now), undefined);
});

const codes: [number, string][] = [
  [429, 'busy'],
  [500, 'parent-unreachable'],
  [502, 'parent-unreachable'],
  [503, 'parent-unreachable'],
  [408, 'parent-unreachable'],
  [401, 'parent-refused'],
  [403, 'parent-refused'],
  [400, 'parent-refused'],
];
for (const [status, code] of codes) {
  test(`an answer ${status} is the fault ${code}`, () =>
    assert.equal(refusal(status, {}, '', 'GET /x').code, code));
}

test('with a wrong clock here, a date is relative to the answer, and a refused login names both clocks', () => {
  const headers = { date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' };
  const inYear = (status: number) => refusal(status, headers, '', 'GET /v2/', 0);
  assert.equal(inYear(429).detail?.retryAfterMs, 30_000);
  assert.match(
    inYear(401).message,
    /^GET \/v2\/: the parent answered 401; the clock of this machine says 1970-/,
  );
  assert.doesNotMatch(inYear(404).message, /clock/);
  assert.deepEqual(verdictOf(503, headers, 0), { kind: 'retry', reason: 'answered 503', afterMs: 30_000 });
  const cause = Object.assign(new Error(), { code: 'CERT_NOT_YET_VALID' });
  const fault = unreachable(cause, AbortSignal.any([]), 'GET https://r.example/v2/') as Fault;
  assert.match(
    fault.message,
    /CERT_NOT_YET_VALID: its certificate is not valid yet, as the clock of this machine/,
  );
});

test('a refusal repeats the message of an OCI error or of a page', () => {
  const oci = '{"errors":[{"code":"DENIED","message":"not yours"}]}';
  assert.match(refusal(403, {}, oci, 'GET /x').message, /answered 403: DENIED not yours$/);
  const page = '<html>\n<h1>502 Bad\nGateway</h1></html>';
  assert.match(refusal(502, {}, page, 'GET /x').message, /answered 502: 502 Bad Gateway$/);
});

test('the retry delay doubles from 1 s to 30 s, and ends after six attempts', () => {
  const fault = new Fault('parent-unreachable', 'x');
  const waits = [1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelay(fault, attempt, 1));
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, undefined]);
  assert.equal(retryDelay(fault, 1, 0), 500);
});

test('the retry delay is at least as long as the parent requests, and a wait that is too long ends the retries', () => {
  const requested = (ms: number) => new Fault('busy', 'x', { detail: { retryAfterMs: ms } });
  assert.equal(retryDelay(requested(20_000), 1, 0), 20_000);
  assert.equal(retryDelay(requested(20_000), 1, 1), 25_000);
  assert.equal(retryDelay(requested(4_000), 1, 1), 5_000);
  assert.equal(retryDelay(requested(MAX_REQUESTED_WAIT_MS + 1), 1, 0), undefined);
});

test('faults that do not pass by themselves are not retried', () => {
  assert.equal(retryDelay(new Fault('parent-refused', 'x'), 1), undefined);
  assert.equal(retryDelay(new Fault('parent-invalid', 'x'), 1), undefined);
});

test('a full data volume is retried without a limit of attempts', () => {
  const full = new Fault('no-space', 'x');
  assert.deepEqual(
    [1, 3, 5, 500].map((attempt) => retryDelay(full, attempt, 1)),
    [1_000, 4_000, 10_000, 10_000],
  );
});

test('a hostile Link header is parsed in linear time', () => {
  const long = 1_000_000;
  for (const text of ['<', '<>', '<>;', '<>; rel=', '<a>; rel="', '>', ';', 'rel="next"'])
    assert.equal(nextIn(text.repeat(long)), undefined);
  assert.equal(nextIn(`${'<a>; rel="prev", '.repeat(long / 10)}<b>; rel="next"`), 'b');
});

test('the next page is read from a Link header in each of its notations', () => {
  assert.equal(nextIn('</v2/_catalog?last=b&n=2>; rel="next"'), '/v2/_catalog?last=b&n=2');
  assert.equal(nextIn('<a>;rel=prev,<b>;rel=next'), 'b');
  assert.equal(nextIn('<a>; title="x"; rel="last next"'), 'a');
  assert.equal(nextIn('<a>; rel="nextish"'), undefined);
  assert.equal(nextIn('<a'), undefined);
});
