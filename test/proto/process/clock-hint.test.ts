import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerHint, certificateHint } from '#proto/process/clock-hint.ts';

const START = 90_000;
const DATE = 'Thu, 01 Jan 2026 00:00:00 GMT';

test('a certificate that is not valid now names the clock of this machine and the remedy', () => {
  assert.equal(
    certificateHint('CERT_NOT_YET_VALID', START),
    'its certificate is not valid yet, as the clock of this machine says 1970-01-01 00:01 UTC: set the clock',
  );
  assert.match(
    certificateHint('CERT_HAS_EXPIRED', Date.parse(DATE)) ?? '',
    /expired, as the clock of this machine says 2026-01-01 00:00 UTC: set the clock if it is wrong, else renew/,
  );
  for (const code of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'ECONNREFUSED', undefined])
    assert.equal(certificateHint(code), undefined);
});

test('the clocks of both sides are named only if they differ', () => {
  assert.match(
    answerHint(DATE, START) ?? '',
    /machine says 1970-01-01 .*, that of the server 2026-01-01 .*: set/,
  );
  assert.equal(answerHint(DATE, Date.parse(DATE) + 60_000), undefined);
  for (const date of [undefined, 'soon']) assert.equal(answerHint(date, START), undefined);
});
