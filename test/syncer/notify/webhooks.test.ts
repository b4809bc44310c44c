import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'nats';
import { historyLost } from '#proto/bus/history.ts';
import { Fault } from '#proto/contract/fault.ts';
import { webhookChanged } from '#proto/status/webhooks.ts';
import { Authority } from '../../support/certificates.ts';
import { ConnectProxy } from '../../support/proxy/connect-proxy.ts';
import { type Answer, TestReceiver } from '../../support/receiver.ts';
import { patience, until } from '../../support/until.ts';
import { notifyRig } from './rig.ts';

/** Deliveries to `TestReceiver`, with any answer. */

let folder: string;
let secretFile: string;
const SECRET = 'a secret of this test';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-webhooks-'));
  secretFile = join(folder, 'secret');
  await writeFile(secretFile, `whsec_${Buffer.from(SECRET).toString('base64')}\n`);
});
after(() => rm(folder, { recursive: true }));

const tags = (count: number, from = 1) => Array.from({ length: count }, (_, index) => `t${from + index}`);
const subjects = (...names: string[]) => names.map((name) => `app:${name}`);

test('the selected events are delivered in order, as signed CloudEvents', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url, secretFile, match: ['app:*:push', '*@*:delete'] });
  rig.start();
  await rig.push('a', 'b');
  await rig.deleteManifests('a');
  await rig.push('c');
  await receiver.untilAccepted(4);
  assert.deepEqual(
    receiver.accepted.map(({ event }) => event.type),
    ['terrace.tag.moved', 'terrace.tag.moved', 'terrace.manifest.deleted', 'terrace.tag.moved'],
  );
  for (const { headers, body, path, event } of receiver.accepted) {
    assert.equal(path, '/events?of=test');
    assert.match(String(headers['content-type']), /^application\/cloudevents\+json\b/);
    assert.equal(event.specversion, '1.0');
    assert.equal(event.datacontenttype, 'application/json');
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = headers;
    assert.equal(id, event.id);
    assert.ok(Math.abs(Number(at) - Date.now() / 1_000) < 60);
    const expected = createHmac('sha256', SECRET).update(`${id}.${at}.${body}`).digest('base64');
    assert.equal(signature, `v1,${expected}`);
  }
});

test('a failed delivery is retried with the same id before later events, and a slow webhook delays no other', async () => {
  await using receiver = await TestReceiver.start();
  await using slow = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url }, { url: slow.url });
  const answers: Answer[] = [
    500,
    { status: 429, headers: { 'retry-after': '1' } },
    'hang',
    'cut',
    { status: 307, headers: { location: `${receiver.url}&moved` } },
    404,
  ];
  const remaining = [...answers];
  receiver.answer = ({ event }) => (event.subject === 'app:b' ? (remaining.shift() ?? 200) : 202);
  const held = Promise.withResolvers<Answer>();
  slow.answer = () => held.promise;
  rig.start({ answerMs: patience() });
  await rig.push('a');
  await receiver.untilAccepted(1);
  await rig.stop();
  // Short, so that the delivery without an answer is retried soon.
  rig.start({ answerMs: patience(150) });
  await rig.push('b', 'c');
  await receiver.untilAccepted(3);
  assert.deepEqual(receiver.subjects, subjects('a', 'b', 'c'));
  const attempts = receiver.deliveries.filter(({ event }) => event.subject === 'app:b');
  assert.equal(attempts.length, answers.length + 1);
  assert.equal(new Set(attempts.map(({ event, body }) => `${event.id} ${body}`)).size, 1);
  assert.ok(receiver.deliveries.every(({ path }) => path === '/events?of=test'));
  assert.equal(slow.accepted.length, 0);
  slow.answer = () => 200;
  held.resolve(200);
  await slow.until(() => new Set(slow.subjects).size === 3, 'all events at the slow receiver');
});

test('after the receiver and the syncer were stopped, all events are delivered once and in order', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url });
  rig.start();
  await rig.push(...tags(3));
  await receiver.untilAccepted(3);
  await receiver.down();
  await rig.push(...tags(150, 4));
  await until(async () => (await rig.status())?.state === 'Failing');
  const failing = await rig.status();
  assert.match(failing?.failure?.reason ?? '', /ECONNREFUSED/);
  await until(async () => (await rig.status())?.behind === 150);
  await rig.stop();
  await rig.push(...tags(150, 154));
  await rig.storage.restart();
  await receiver.up();
  rig.start();
  await receiver.untilAccepted(303);
  assert.deepEqual(receiver.subjects, subjects(...tags(303)));
  await until(async () => (await rig.status())?.behind === 0);
  const status = await rig.status();
  assert.equal(status?.state, 'Online');
  assert.equal(status?.failure, undefined);
  // Neither the query nor the secret is published or logged.
  assert.doesNotMatch(JSON.stringify([status, failing, rig.lines]), /of=test|whsec|secret of this test/);
});

test('a webhook whose receiver answers 410 is parked, is logged and published, and is retried later', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url, name: 'line' });
  const changes: string[] = [];
  rig.buses.syncer.listen(webhookChanged, ({ data }) => void changes.push(`${data.name} ${data.state}`));
  receiver.answer = () => 410;
  rig.start();
  await until(async () => (await rig.status())?.state === 'Untried');
  await rig.push('a');
  await until(async () => (await rig.status())?.state === 'Parked');
  assert.ok(rig.lines.some((line) => /"line".*410/.test(line)));
  await rig.push('b');
  receiver.answer = () => 200;
  await receiver.untilAccepted(2);
  assert.deepEqual(receiver.subjects, subjects('a', 'b'));
  await until(() => changes.length === 2);
  assert.deepEqual(changes, ['line Parked', 'line Online']);
});

test('after the bus lost its store, the receiver receives a loss and then the new events', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url });
  rig.start();
  await rig.push('a', 'b');
  await receiver.untilAccepted(2);
  await rig.buses.server.kill({ forget: true });
  await rig.buses.server.up();
  await rig.push('c');
  await receiver.untilAccepted(4);
  const [gap, next] = receiver.accepted.slice(2);
  assert.equal(gap?.event.type, `terrace.${historyLost.type}`);
  assert.deepEqual(gap?.event.data, { from: 4, reason: 'lost' });
  assert.equal(next?.event.subject, 'app:c');
});

test('an unanswered query of the stream does not count as a loss', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url });
  const { archive } = rig.buses.syncer;
  const { idAt } = archive;
  let failed = false;
  archive.idAt = async () => {
    failed = true;
    archive.idAt = idAt;
    throw new Fault('unavailable', 'no answer to storage.history.id within 6 s');
  };
  rig.start();
  await rig.push('a');
  await receiver.untilAccepted(1);
  assert.deepEqual([receiver.subjects, failed], [subjects('a'), true]);
});

test('a new webhook starts now, a removed one ends, and one with new patterns continues at its place', async () => {
  await using receiver = await TestReceiver.start();
  await using other = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url });
  rig.start();
  await rig.push('a');
  await receiver.untilAccepted(1);
  rig.configure({ url: receiver.url, match: ['app:b:*', 'app:d:*'] }, { url: other.url });
  await until(async () => (await rig.status(1)) !== undefined);
  await rig.push('b', 'c');
  await other.untilAccepted(2);
  await receiver.untilAccepted(2);
  rig.configure({ url: receiver.url, match: ['app:b:*', 'app:d:*'] });
  await rig.push('d');
  await receiver.untilAccepted(3);
  assert.deepEqual(receiver.subjects, subjects('a', 'b', 'd'));
  assert.deepEqual(other.subjects, subjects('b', 'c'));
});

test('a certificate of a private authority is trusted only by the webhook that names the authority', async () => {
  await using authority = await Authority.create();
  const { certificateFile, keyFile } = await authority.issue('receiver');
  const pair = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  await using receiver = await TestReceiver.start(pair);
  await using rig = await notifyRig(
    { url: receiver.url, name: 'with', caFile: authority.certificate },
    { url: receiver.url, name: 'without' },
  );
  rig.start();
  await rig.push('a');
  await receiver.untilAccepted(1);
  await until(async () => (await rig.status(1))?.state === 'Failing');
  assert.match((await rig.status(1))?.failure?.reason ?? '', /certificate/);
  assert.equal(receiver.deliveries.length, 1);
});

test('a receiver that returns after events expired receives one loss and then the remaining events', async () => {
  await using receiver = await TestReceiver.start();
  await using rig = await notifyRig({ url: receiver.url });
  rig.start();
  await rig.push('a');
  await receiver.untilAccepted(1);
  await receiver.down();
  await rig.push('b', 'c');
  await until(async () => (await rig.status())?.state === 'Failing');
  const admin = await connect({
    servers: rig.buses.server.url,
    user: 'storage',
    pass: 'secret-of-storage',
    inboxPrefix: '_INBOX_storage',
  });
  const { streams } = await admin.jetstreamManager();
  await streams.update('EVENTS', { max_msgs: 1 });
  await streams.update('EVENTS', { max_msgs: -1 });
  await admin.close();
  await rig.push('d');
  await receiver.up();
  await receiver.untilAccepted(3);
  const [, gap, next] = receiver.accepted;
  assert.equal(gap?.event.type, `terrace.${historyLost.type}`);
  const { from, reason } = gap!.event.data as { from: number; reason: string };
  assert.deepEqual([from, reason], [3, 'expired']);
  assert.equal(next?.event.subject, 'app:d');
});

test('deliveries use the proxy of the environment, but not for hosts in `no_proxy`', async () => {
  await using authority = await Authority.create();
  const { certificateFile, keyFile } = await authority.issue('receiver');
  const pair = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  await using receiver = await TestReceiver.start(pair);
  await using proxy = await ConnectProxy.start();
  const before = { ...process.env };
  try {
    for (const exempt of ['', '127.0.0.0/8']) {
      Object.assign(process.env, {
        https_proxy: proxy.url,
        HTTPS_PROXY: proxy.url,
        no_proxy: exempt,
        NO_PROXY: exempt,
      });
      await using rig = await notifyRig({ url: receiver.url, caFile: authority.certificate });
      rig.start();
      await rig.push('a');
      await receiver.untilAccepted(exempt ? 2 : 1);
    }
  } finally {
    process.env = before;
  }
  assert.deepEqual(proxy.targets, [`127.0.0.1:${receiver.port}`]);
});
