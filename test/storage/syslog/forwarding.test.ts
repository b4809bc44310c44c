import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { freePort } from '../../support/ports.ts';
import { parameter, SyslogReceiver } from '../../support/syslog-receiver.ts';
import { until } from '../../support/until.ts';
import { ForwardingRig } from './forwarding-rig.ts';

/** The audit log at a real syslog receiver. */

let authority: Authority;
let stranger: Authority;
before(async () => {
  [authority, stranger] = await Promise.all([Authority.create(), Authority.create()]);
});
after(async () => {
  await authority[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

/** Ids without repetitions, in the order of their first occurrence. */
const once = (ids: string[]) => [...new Set(ids)];

test('entries of before and after the start arrive over TLS, in order; a start that follows repeats none', async () => {
  const port = await freePort();
  const tls = await authority.issue('receiver');
  await using receiver = new SyslogReceiver(port, { tls });
  await receiver.start();
  await using rig = await ForwardingRig.open();
  await rig.add(3);
  const target = { port, tls: true, caFile: authority.certificate };
  rig.forwardTo(target);
  await rig.state('Connected');
  await rig.add(200);
  await receiver.until(({ length }) => length >= 203);
  assert.equal(rig.forwarding.status()?.waiting, 0);
  await rig.stop();
  await rig.start();
  await rig.add(1);
  rig.forwardTo(target);
  await receiver.until(({ length }) => length >= 204);
  assert.deepEqual(receiver.ids(), await rig.ids());
  assert.deepEqual(
    rig.events.map(({ state }) => state),
    ['Connected', 'Connected'],
  );
  assert.equal(rig.events[0]?.receiver, `127.0.0.1:${port}`);
  assert.deepEqual(rig.warnings, []);
});

test('a receiver that is cut off and comes back gets each entry, some twice with the same id', async () => {
  const port = await freePort();
  const tls = await authority.issue('cut');
  await using receiver = new SyslogReceiver(port, { tls });
  await receiver.start();
  await using rig = await ForwardingRig.open();
  rig.forwardTo({ port, tls: true, caFile: authority.certificate });
  for (let round = 0; round < 5; round += 1) {
    await rig.state('Connected');
    await Promise.all([
      rig.add(100),
      receiver.until(({ length }) => length > 20 * round).then(() => receiver.stop()),
    ]);
    await rig.state('Away');
    await rig.add(100);
    assert.ok((rig.forwarding.status()?.waiting ?? 0) >= 100);
    await receiver.start();
  }
  const all = await rig.ids();
  await until(() => once(receiver.ids()).length === all.length);
  assert.equal(all.length, 1_000);
  // What is repeated begins with what had come before: without the repetitions, the order is that of the log.
  assert.deepEqual(once(receiver.ids()), all);
});

test('what was sent shortly before a connection fails is sent again, what was sent long before is not', async () => {
  const port = await freePort();
  await using receiver = new SyslogReceiver(port);
  await receiver.start();
  await using rig = await ForwardingRig.open();
  rig.forwardTo({ port });
  await rig.add(10);
  await receiver.until(({ length }) => length === 10);
  await rig.delivered(10);
  await receiver.stop();
  await rig.state('Away');
  await receiver.start();
  await rig.state('Connected');
  await rig.add(1);
  await receiver.until(({ length }) => length >= 11);
  assert.deepEqual(receiver.ids(), await rig.ids());
  // Nothing is delivered as long as nothing has settled.
  rig.forwardTo({ port, facility: 16 }, { settleMs: 3_600_000 });
  await until(() => receiver.connections === 3);
  await rig.add(5);
  await receiver.until(({ length }) => length === 16);
  await receiver.stop();
  await rig.state('Away');
  await receiver.start();
  await receiver.until(({ length }) => length === 21);
  assert.deepEqual(receiver.ids().slice(16), receiver.ids().slice(11, 16));
});

test('a receiver that is away from the start gets everything later; its absence is one event and one warning', async () => {
  const port = await freePort();
  await using rig = await ForwardingRig.open();
  await rig.add(5);
  rig.forwardTo({ port });
  await rig.state('Away', /ECONNREFUSED/);
  await rig.add(5);
  const { waiting, next, since } = rig.forwarding.status() ?? {};
  assert.equal(waiting, 10);
  assert.ok(next !== undefined && since !== undefined && next >= since);
  await using receiver = new SyslogReceiver(port);
  await receiver.start();
  await receiver.until(({ length }) => length === 10);
  await rig.state('Connected');
  assert.deepEqual(
    rig.events.map(({ state }) => state),
    ['Away', 'Connected'],
  );
  // The first one says that there is no TLS.
  assert.equal(rig.warnings.length, 2);
});

test('entries that the log overran are counted: in the status, an event, the log and a message', async () => {
  const port = await freePort();
  await using rig = await ForwardingRig.open(2_000);
  await using receiver = new SyslogReceiver(port);
  await receiver.start();
  rig.forwardTo({ port });
  await rig.add(10);
  await receiver.until(({ length }) => length === 10);
  await rig.delivered(10);
  await receiver.stop();
  await rig.state('Away');
  await rig.add(500);
  const left = await rig.ids();
  const lost = 510 - 10 - left.length;
  assert.ok(lost > 0);
  await until(() => rig.forwarding.status()?.lost?.count === lost);
  const reported = rig.events.flatMap((event) => (typeof event.lost === 'number' ? [event.lost] : []));
  assert.equal(
    reported.reduce((sum, one) => sum + one, 0),
    lost,
  );
  // It is not forgotten by a restart.
  await rig.stop();
  await rig.start();
  await receiver.start();
  rig.forwardTo({ port });
  await until(() => once(receiver.ids()).length === 10 + 1 + left.length);
  const message = receiver.messages[10] as string;
  assert.match(message, / audit\/lost \[/);
  assert.equal(parameter(message, 'lost'), String(lost));
  assert.deepEqual(receiver.ids().slice(11), left);
  await rig.delivered(510);
  rig.now += 25 * 3_600_000;
  assert.equal(rig.forwarding.status()?.lost, undefined);
});

test('a receiver that reads nothing costs no memory and no time of others, and loses nothing', async () => {
  const [port, otherPort] = [await freePort(), await freePort()];
  const tls = await authority.issue('deaf');
  await using deaf = new SyslogReceiver(port, { tls, deaf: true });
  await deaf.start();
  await using rig = await ForwardingRig.open();
  const target = { tls: true, caFile: authority.certificate };
  rig.forwardTo({ ...target, port }, { stallMs: 200, settleMs: 3_600_000 });
  const length = 1_000;
  for (let round = 0; round < 40; round += 1) await rig.addAtOnce(1_000, length);
  await rig.state('Away', /took nothing for/);
  // What the receiver did not take is on the disk: kernels hold some MB.
  assert.ok((rig.forwarding.status()?.waiting ?? 0) >= 20_000);
  await using other = new SyslogReceiver(otherPort, { tls });
  await other.start();
  rig.forwardTo({ ...target, port: otherPort });
  const all = await rig.ids();
  await until(() => other.messages.length >= all.length);
  assert.deepEqual(once(other.ids()), all);
  assert.equal(deaf.messages.length, 0);
});

test('another receiver continues where the one before ends', async () => {
  const ports = [await freePort(), await freePort()] as const;
  await using first = new SyslogReceiver(ports[0]);
  await using second = new SyslogReceiver(ports[1]);
  await Promise.all([first.start(), second.start()]);
  await using rig = await ForwardingRig.open();
  rig.forwardTo({ port: ports[0] });
  await Promise.all([rig.add(100), first.until(({ length }) => length > 0)]);
  rig.forwardTo({ port: ports[1] });
  await rig.add(100);
  await until(() => first.messages.length + second.messages.length >= 200);
  assert.deepEqual([...first.ids(), ...second.ids()], await rig.ids());
  rig.forwarding.configure(undefined);
  await until(() => rig.forwarding.status() === undefined);
});

test('what is wrong with TLS is named with its remedy, and goes once it is corrected', async () => {
  const port = await freePort();
  const tls = await authority.issue('strict');
  const client = await authority.issue('client');
  await using rig = await ForwardingRig.open();
  await rig.add(1);
  const caFile = join(rig.folder, 'ca.pem');
  await copyFile(stranger.certificate, caFile);
  const target = { port, tls: true, caFile };
  {
    await using plain = new SyslogReceiver(port);
    await plain.start();
    // A receiver that speaks no TLS closes the connection, or answers something else.
    rig.forwardTo(target, { stableMs: 3_600_000 });
    await rig.state('Away');
  }
  await using receiver = new SyslogReceiver(port, { tls, clientCa: authority.certificate });
  await receiver.start();
  await rig.state(
    'Away',
    /its certificate is not trusted; if a private CA signed it, set audit\.syslog\.caFile/,
  );
  await writeFile(caFile, 'nothing');
  await rig.state('Away', /audit\.syslog\.caFile ".*" contains no certificate/);
  await copyFile(authority.certificate, caFile);
  await rig.state('Away', /set audit\.syslog\.certificateFile and audit\.syslog\.keyFile/);
  rig.forwardTo({ ...target, ...client, keyFile: tls.keyFile });
  await rig.state('Away', /audit\.syslog\.keyFile ".*" does not match the first certificate/);
  rig.forwardTo({ ...target, ...client });
  await rig.state('Connected');
  await receiver.until(({ length }) => length === 1);
  rig.forwardTo({ ...target, ...client, host: 'localhost.localdomain' });
  await rig.state('Away');
});
