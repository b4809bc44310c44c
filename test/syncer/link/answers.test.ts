import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import {
  MAX_REQUESTED_WAIT_MS,
  refusal,
  retryAfter,
  retryDelay,
} from '../../../services/syncer/link/answers/answers.ts';
import { nextIn } from '../../../services/syncer/link/answers/link-header.ts';
import { readChallenge } from '../../../services/syncer/link/login/parent-challenge.ts';

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
  test(`an answer ${status} is ${code}`, () => assert.equal(refusal(status, {}, '', 'GET /x').code, code));
}

test('a refusal repeats what the parent said, of an OCI error or of a page', () => {
  const oci = '{"errors":[{"code":"DENIED","message":"not yours"}]}';
  assert.match(refusal(403, {}, oci, 'GET /x').message, /answered 403: DENIED not yours$/);
  const page = '<html>\n<h1>502 Bad\nGateway</h1></html>';
  assert.match(refusal(502, {}, page, 'GET /x').message, /answered 502: 502 Bad Gateway$/);
});

test('waiting doubles from a second to half a minute, and ends after six attempts', () => {
  const fault = new Fault('parent-unreachable', 'x');
  const waits = [1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelay(fault, attempt, 1));
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, undefined]);
  assert.equal(retryDelay(fault, 1, 0), 500);
});

test('waiting is never shorter than the parent asks for, and not longer than a pass should be held', () => {
  const asks = (ms: number) => new Fault('busy', 'x', { detail: { retryAfterMs: ms } });
  assert.equal(retryDelay(asks(20_000), 1, 0), 20_000);
  assert.equal(retryDelay(asks(20_000), 1, 1), 25_000);
  assert.equal(retryDelay(asks(4_000), 1, 1), 5_000);
  assert.equal(retryDelay(asks(MAX_REQUESTED_WAIT_MS + 1), 1, 0), undefined);
});

test('what does not pass by itself is not tried again', () => {
  assert.equal(retryDelay(new Fault('parent-refused', 'x'), 1), undefined);
  assert.equal(retryDelay(new Fault('parent-invalid', 'x'), 1), undefined);
});

test('a full data volume is waited for as long as it takes', () => {
  const full = new Fault('no-space', 'x');
  assert.deepEqual(
    [1, 3, 5, 500].map((attempt) => retryDelay(full, attempt, 1)),
    [1_000, 4_000, 10_000, 10_000],
  );
});

test('a Bearer challenge is read with its quotes, commas and blanks', () => {
  const header =
    'Bearer realm="https://r/token?a=b,c",service="the \\"r\\"",scope="repository:a/b:pull,push"';
  assert.deepEqual(readChallenge(header), {
    scheme: 'bearer',
    parameters: { realm: 'https://r/token?a=b,c', service: 'the "r"', scope: 'repository:a/b:pull,push' },
  });
});

test('a header made for it is read in one run', () => {
  const long = 1_000_000;
  for (const text of ['a', 'a ', ',', 'a=', 'a="', '\\"', 'Bearer ', ' ']) {
    assert.equal(readChallenge(text.repeat(long))?.parameters.realm, undefined);
  }
  const parameters = 'x="1",'.repeat(long / 10);
  assert.equal(readChallenge(`Bearer ${parameters}realm="y"`)?.parameters.realm, 'y');
  for (const text of ['<', '<>', '<>;', '<>; rel=', '<a>; rel="', '>', ';', 'rel="next"'])
    assert.equal(nextIn(text.repeat(long)), undefined);
  assert.equal(nextIn(`${'<a>; rel="prev", '.repeat(long / 10)}<b>; rel="next"`), 'b');
});

test('the next page is where a Link header says so, however it is written', () => {
  assert.equal(nextIn('</v2/_catalog?last=b&n=2>; rel="next"'), '/v2/_catalog?last=b&n=2');
  assert.equal(nextIn('<a>;rel=prev,<b>;rel=next'), 'b');
  assert.equal(nextIn('<a>; title="x"; rel="last next"'), 'a');
  assert.equal(nextIn('<a>; rel="nextish"'), undefined);
  assert.equal(nextIn('<a'), undefined);
});

test('of several challenges Bearer comes first, in one header or in two', () => {
  assert.equal(readChallenge('Basic realm="x", Bearer realm="y"')?.parameters.realm, 'y');
  assert.equal(readChallenge(['Basic realm="x"', 'Bearer realm="y"'])?.scheme, 'bearer');
  assert.equal(readChallenge('basic realm=x')?.scheme, 'basic');
  assert.equal(readChallenge('Negotiate abc'), undefined);
  assert.equal(readChallenge(undefined), undefined);
});
