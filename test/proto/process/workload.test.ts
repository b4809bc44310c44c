import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { type Workload, workloadOf } from '#proto/iot-edge/workload.ts';
import { Authority } from '../../support/certificates.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';
import { patience } from '../../support/until.ts';

/** The daemon's workload API, on its socket: what it answers, and how it fails. */

let authority: Authority;
let daemon: WorkloadApi;
let workload: Workload;
before(async () => {
  authority = await Authority.create();
  daemon = await WorkloadApi.start(authority);
  workload = workloadOf(daemon.env, { timeout: patience(), attempts: 4, pause: 5 }) as Workload;
});
after(async () => {
  await daemon[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});
beforeEach(() => {
  Object.assign(daemon, { away: false, signs: true, closes: 0, hangs: false, says: undefined, requests: 0 });
});

const fault = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof Fault && error.code === code && words.test(error.message);

test('it tells what to trust, signs, and makes a certificate with its key', async () => {
  assert.equal(await workload.trustBundle(), await readFile(authority.certificate, 'utf8'));
  const digest = createHmac('sha256', daemon.key).update('a\n1').digest('base64');
  assert.equal(await workload.sign('a\n1'), digest);
  const { certificate, privateKey, expires } = await workload.serverCertificate('line.example');
  const leaf = new X509Certificate(certificate);
  assert.equal(leaf.checkPrivateKey(createPrivateKey(privateKey)), true);
  assert.equal(leaf.checkIssued(new X509Certificate(await readFile(authority.certificate))), true);
  const days = (expires.getTime() - Date.now()) / 86_400_000;
  assert.equal(Math.round(days), 30);
});

test('connections that are closed unanswered, as over ten at a time are, are made again', async () => {
  daemon.closes = 3;
  await workload.trustBundle();
  assert.equal(daemon.requests, 4);
  daemon.closes = 9;
  await assert.rejects(
    workload.trustBundle(),
    fault('unavailable', /closed the connection without an answer/),
  );
});

test('what passes is asked for again, and then said', async () => {
  daemon.signs = false;
  await assert.rejects(
    workload.sign('x'),
    fault('unavailable', /sign was answered 500: the keys are not there/),
  );
  assert.equal(daemon.requests, 4);
  daemon.away = true;
  await assert.rejects(workload.trustBundle(), fault('unavailable', /answered 503/));
});

test('another module is refused, at once', async () => {
  const other = workloadOf({ ...daemon.env, IOTEDGE_MODULEID: 'other' }) as Workload;
  await assert.rejects(other.sign('x'), fault('denied', /only processes of the module/));
  assert.equal(daemon.requests, 1);
});

test('silence ends, and so does whoever asks', async () => {
  daemon.hangs = true;
  const quick = workloadOf(daemon.env, { timeout: 50, attempts: 2, pause: 5 }) as Workload;
  await assert.rejects(quick.trustBundle(), fault('unavailable', /did not answer in 50 ms/));
  const reason = new Error('enough');
  const end = new AbortController();
  const asked = workload.trustBundle(end.signal);
  end.abort(reason);
  await assert.rejects(asked, (error) => error === reason || (error as Error).cause === reason);
});

test('an answer that is none is said, and never shown', async () => {
  for (const says of ['', 'secret', '{"certificate":1,"digest":""}', '{"privateKey":{"bytes":"secret"}}']) {
    daemon.says = says;
    for (const asked of [workload.trustBundle(), workload.sign('x'), workload.serverCertificate('x')]) {
      await assert.rejects(
        asked,
        (error: Error) => Fault.is(error, 'malformed') && !/secret/.test(error.message),
      );
    }
  }
});

test('a daemon that is not there is said to be so', async () => {
  const gone = workloadOf(
    { ...daemon.env, IOTEDGE_WORKLOADURI: 'unix:///nowhere/sock' },
    { pause: 1 },
  ) as Workload;
  await assert.rejects(gone.trustBundle(), fault('unavailable', /is not reachable \(ENOENT\)/));
});

test('without its variable there is no daemon; others that are missing or wrong are named', () => {
  assert.equal(workloadOf({}), undefined);
  const { IOTEDGE_MODULEID: _module, ...rest } = daemon.env;
  assert.throws(() => workloadOf(rest), fault('config-invalid', /^IOTEDGE_MODULEID is missing/));
  const uri = { ...daemon.env, IOTEDGE_WORKLOADURI: 'ftp://x' };
  assert.throws(() => workloadOf(uri), fault('config-invalid', /unix:\/\/\/path or http:\/\/host:port/));
});
