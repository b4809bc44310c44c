import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { unpack } from '#proto/contract/contract.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { WebhookStatus } from '#proto/status/webhooks.ts';
import { lossOf, noticeOf } from '../../../services/syncer/notify/notice.ts';
import { signaturesOf } from '../../../services/syncer/notify/signature.ts';
import { deliveryWait, verdictOf } from '../../../services/syncer/notify/verdict.ts';

const to: Receiver = { url: 'http://h/', name: 'h', match: ['app:v1:*', 'app/*:delete'], below: false };
const digest = `sha256:${'1'.repeat(64)}`;
const event = (type: string, data: object): Envelope => ({
  specversion: '1.0',
  id: 'storage-1',
  source: '/layers/line/storage',
  type: `terrace.${type}`,
  time: '2030-01-01T00:00:00.000Z',
  layer: 'line',
  data,
});
const moved = event('tag.moved', { repository: 'app', tag: 'v1', digest, account: 'ci' });
const noticeBody = (envelope: Envelope, child?: string, more: Partial<Receiver> = {}) => {
  const notice = noticeOf({ sequence: 1, event: envelope, ...(child && { child }) }, { ...to, ...more });
  return notice && JSON.parse(notice.body);
};

test('a notice is the event as it is in the stream, with its subject and its account', () => {
  const expected = { ...moved, subject: 'app:v1', datacontenttype: 'application/json' };
  assert.deepEqual(noticeBody(moved), expected);
  assert.equal(
    noticeBody(event('manifest.deleted', { repository: 'app/a', digest })).subject,
    `app/a@${digest}`,
  );
});

test('events that the patterns do not select, other events, and events of layers below have no notice', () => {
  assert.equal(noticeBody(event('tag.moved', { repository: 'app', tag: 'v2', digest })), undefined);
  assert.equal(noticeBody(event('pass.finished', {})), undefined);
  assert.equal(noticeBody(moved, 'cell'), undefined);
  assert.equal(noticeBody({ ...moved, origin: 'x/1' }, 'cell', { below: true }).origin, undefined);
});

test('lost history has a notice whatever the patterns are, and history that only missed the parent has none', () => {
  assert.equal(noticeBody(event('history.lost', { from: 1, reason: 'lost' })).type, 'terrace.history.lost');
  assert.equal(noticeBody(event('history.lost', { from: 1, to: 2, reason: 'expired' })), undefined);
  const loss = lossOf({ from: 3, to: 9, reason: 'expired' }, '2030-01-01T00:00:00Z', 'line');
  assert.equal(loss.id, 'gap-20300101T000000Z-3-9');
  assert.deepEqual(JSON.parse(loss.body).data, { from: 3, to: 9, reason: 'expired' });
});

test('the signature matches the example of the specification, and there is one for each secret', () => {
  const signed = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestamp: 1_614_265_330,
    body: '{"test": 2432232314}',
  };
  const example = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const expected = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
  assert.equal(signaturesOf(example, signed), expected);
  const plain = createHmac('sha256', 'correct horse')
    .update(`${signed.id}.${signed.timestamp}.${signed.body}`)
    .digest('base64');
  assert.equal(signaturesOf(`\uFEFF${example}\r\ncorrect horse\n`, signed), `${expected} v1,${plain}`);
  assert.equal(signaturesOf('\n', signed), undefined);
});

test('2xx accepts a notice, 410 removes the webhook, and any other answer causes a retry', () => {
  for (const status of [200, 202, 204, 299]) assert.deepEqual(verdictOf(status, {}), { kind: 'accepted' });
  assert.equal(verdictOf(410, {}).kind, 'removed');
  for (const status of [301, 307, 400, 401, 404, 408, 413, 429, 500, 503]) {
    assert.equal(verdictOf(status, {}).kind, 'retry', String(status));
  }
  assert.deepEqual(verdictOf(302, {}), {
    kind: 'retry',
    reason: 'answered 302: redirects are not followed',
  });
  const again = verdictOf(429, { 'retry-after': '7' });
  assert.deepEqual(again, { kind: 'retry', reason: 'answered 429', afterMs: 7_000 });
  const date = verdictOf(503, { 'retry-after': 'Tue, 01 Jan 2030 00:01:00 GMT' }, Date.UTC(2030, 0, 1));
  assert.deepEqual(date, { kind: 'retry', reason: 'answered 503', afterMs: 60_000 });
});

test('the backoff doubles up to five minutes, and is at least as long as requested, up to an hour', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2_000].map(
    (failures) => deliveryWait(failures, 0, 1) / 1_000,
  );
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  assert.equal(deliveryWait(1, 0, 0), 500);
  assert.equal(deliveryWait(1, 60_000, 0), 60_000);
  assert.equal(deliveryWait(1, 60_000, 1), 65_000);
  assert.equal(deliveryWait(1, 1e12, 0), 3_600_000);
});

test('a webhook status that an earlier version wrote can be read', () => {
  const failure = { reason: 'ECONNREFUSED', attempts: 3, next: 1_900_000_000_000.25 };
  const status = { name: 'h', state: 'Failing', since: 1, told: 2, behind: 3, more: false, failure };
  assert.deepEqual(unpack(WebhookStatus, encode(status)), status);
});
