import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { type Workload, workloadOf } from '#proto/iot-edge/workload.ts';
import { Authority } from '../../support/certificates.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';
import { patience } from '../../support/until.ts';

/** The workload API of IoT Edge's daemon, on its socket: its answers and its failures. */

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
  Object.assign(daemon, {
    away: false,
    signs: true,
    closes: 0,
    hangs: false,
    fixedAnswer: undefined,
    requests: 0,
  });
});

const fault = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof Fault && error.code === code && words.test(error.message);

test('the daemon answers with its trust bundle, signatures, and certificates with their keys', async () => {
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

test('requests whose connection is closed unanswered are retried', async () => {
  daemon.closes = 3;
  await workload.trustBundle();
  assert.equal(daemon.requests, 4);
  daemon.closes = 9;
  await assert.rejects(
    workload.trustBundle(),
    fault('unavailable', /closed the connection without an answer/),
  );
});

test('temporary failures are retried, then reported', async () => {
  daemon.signs = false;
  await assert.rejects(
    workload.sign('x'),
    fault('unavailable', /sign was answered 500: the keys are not there/),
  );
  assert.equal(daemon.requests, 4);
  daemon.away = true;
  await assert.rejects(workload.trustBundle(), fault('unavailable', /answered 503/));
});

test('another module is refused without a retry', async () => {
  const other = workloadOf({ ...daemon.env, IOTEDGE_MODULEID: 'other' }) as Workload;
  await assert.rejects(other.sign('x'), fault('denied', /only processes of the module/));
  assert.equal(daemon.requests, 1);
});

test('a request without an answer times out, and an abort ends it', async () => {
  daemon.hangs = true;
  const quick = workloadOf(daemon.env, { timeout: 50, attempts: 2, pause: 5 }) as Workload;
  await assert.rejects(quick.trustBundle(), fault('unavailable', /did not answer in 0\.05 s/));
  const reason = new Error('enough');
  const end = new AbortController();
  const answer = workload.trustBundle(end.signal);
  end.abort(reason);
  await assert.rejects(answer, (error) => error === reason || (error as Error).cause === reason);
});

test('an invalid answer is reported, and its content is never shown', async () => {
  for (const body of ['', 'secret', '{"certificate":1,"digest":""}', '{"privateKey":{"bytes":"secret"}}']) {
    daemon.fixedAnswer = body;
    for (const answer of [workload.trustBundle(), workload.sign('x'), workload.serverCertificate('x')]) {
      await assert.rejects(
        answer,
        (error: Error) => Fault.is(error, 'malformed') && !/secret/.test(error.message),
      );
    }
  }
});

test('an unreachable daemon is reported as such', async () => {
  const unreachable = workloadOf(
    { ...daemon.env, IOTEDGE_WORKLOADURI: 'unix:///nowhere/sock' },
    { pause: 1 },
  ) as Workload;
  await assert.rejects(unreachable.trustBundle(), fault('unavailable', /is not reachable \(ENOENT\)/));
});

test('without IOTEDGE_WORKLOADURI there is no daemon; other variables that are missing or invalid are named', () => {
  assert.equal(workloadOf({}), undefined);
  const { IOTEDGE_MODULEID: _module, ...rest } = daemon.env;
  assert.throws(() => workloadOf(rest), fault('config-invalid', /^IOTEDGE_MODULEID is missing/));
  const uri = { ...daemon.env, IOTEDGE_WORKLOADURI: 'ftp://x' };
  assert.throws(() => workloadOf(uri), fault('config-invalid', /unix:\/\/\/path or http:\/\/host:port/));
});
