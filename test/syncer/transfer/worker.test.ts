import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { Volume } from '#proto/volume/volume.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { SendRate } from '../../../services/syncer/transfer/pace/send-rate.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { runDownload, runUpload } from '../../../services/syncer/transfer/worker.ts';
import { quietActivity } from './quiet-activity.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const job = { repository: 'a', digest, size: 1, direction: 'down' as const, pass: 'pass' };

const activity = quietActivity();

test('a job whose blob another syncer holds is retried after a whole number of ms', async () => {
  const call = async ({ subject }: { subject: string }) => {
    if (subject === claimTransfer.subject) throw new Fault('busy', 'another one holds it');
    return { digests: [digest] };
  };
  const verdict = await runDownload(
    {
      bus: { call } as unknown as Bus,
      volume: new Volume('/'),
      parent: () => Promise.reject(new Error('unexpected request')),
      slots: new Slots(1),
      bandwidth: UNLIMITED,
      by: 'syncer',
      activity,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      signal: new AbortController().signal,
    },
    job,
  );
  assert.ok(verdict !== 'done' && verdict.retryMs >= 1_500);
  assert.ok(Number.isInteger(verdict.retryMs));
});

test('a job that is taken after its window has closed is dropped without a request', async () => {
  for (const direction of ['up', 'down'] as const) {
    const reject = () => Promise.reject(new Error('unexpected request'));
    const deps = {
      bus: { call: reject } as unknown as Bus,
      volume: new Volume('/'),
      parent: reject,
      pushClient: reject,
      pace: new SendRate(),
      slots: new Slots(1),
      bandwidth: UNLIMITED,
      by: 'syncer',
      activity,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      signal: new AbortController().signal,
      graceMs: 2_000,
    };
    const run = direction === 'up' ? runUpload : runDownload;
    assert.equal(await run(deps, { ...job, direction, until: Date.now() - 1 }), 'done');
  }
});
