import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_GROUP_BYTES, MAX_GROUPED_BYTES, type TransferJob } from '#proto/sync/transfers.ts';
import { TransferGroups } from '../../../../services/syncer/reconcile/context/transfer-groups.ts';

const jobOf = (number: number, size = 10): TransferJob => ({
  repository: 'app',
  digest: `sha256:${String(number).padStart(64, '0')}`,
  size,
  direction: 'down',
  pass: 'p',
});

function recorded() {
  const submitted: TransferJob[] = [];
  const any = Promise.withResolvers<void>();
  const groups = new TransferGroups((job) => {
    submitted.push(job);
    any.resolve();
  });
  return { submitted, groups, first: any.promise };
}

test('small blobs that are wanted together share a job, and one alone has a job as before', async () => {
  const together = recorded();
  for (const number of [1, 2, 3]) together.groups.add(jobOf(number));
  await together.first;
  const [{ others, ...job }] = together.submitted as [TransferJob];
  assert.deepEqual(job, jobOf(1));
  assert.deepEqual(
    others?.map(({ digest }) => digest),
    [jobOf(2).digest, jobOf(3).digest],
  );
  const alone = recorded();
  alone.groups.add(jobOf(1));
  await alone.first;
  assert.deepEqual(alone.submitted, [jobOf(1)]);
});

test('a group is bounded in number and in bytes', () => {
  const { submitted, groups } = recorded();
  for (let number = 0; number < 40; number += 1) groups.add(jobOf(number));
  assert.deepEqual(
    submitted.map(({ others = [] }) => others.length + 1),
    [16, 16],
  );
  groups.clear();
  submitted.length = 0;
  const large = Math.floor(MAX_GROUP_BYTES / MAX_GROUPED_BYTES) + 1;
  for (let number = 0; number < large; number += 1) groups.add(jobOf(number, MAX_GROUPED_BYTES));
  for (const { size, others = [] } of submitted)
    assert.ok(others.reduce((sum, one) => sum + one.size, size) <= MAX_GROUP_BYTES);
  groups.clear();
});

test('jobs that are not submitted are forgotten', async () => {
  const { submitted, groups, first } = recorded();
  groups.add(jobOf(1));
  groups.clear();
  groups.add(jobOf(2));
  await first;
  assert.deepEqual(submitted, [jobOf(2)]);
});
