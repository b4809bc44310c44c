import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { scrubProgress } from '#proto/content/maintenance.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { testLayer } from '../../../support/layer.ts';
import { runCommand, startCommand } from '../../../support/terrace.ts';

async function push(url: string, size: number): Promise<void> {
  const bytes = randomBytes(size);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const answer = await fetch(`${url}/v2/app/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
  });
  assert.equal(answer.status, 201);
}

test('a scrub shows its progress everywhere, a second one joins it, and Ctrl-C leaves it running', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  for (let count = 0; count < 4; count += 1) await push(layer.url, 1_500_000);
  const where = ['--data', layer.data];
  // Six megabytes in a minute: the end of the layer ends it.
  await using first = startCommand('scrub', '--rate', '100kB', '--json', ...where);
  await first.untilOutput(/"type":"progress"/);
  const progress = JSON.parse(first.stdout.split('\n')[0] as string);
  assert.deepEqual([progress.blobs, progress.total], [4, 6_000_000]);
  const { scrub } = await layer.bus().call(storageStatus, {});
  assert.ok(scrub && scrub.bytes >= progress.bytes && scrub.bytes <= scrub.total);
  const answer = (await (await fetch(`${layer.url}/api/v1/storage`)).json()) as { scrub?: { total: number } };
  assert.equal(answer.scrub?.total, 6_000_000);
  const metrics = await (await fetch(`${layer.url}/metrics`)).text();
  assert.match(metrics, /^terrace_scrub_running\{.*\} 1$/m);
  assert.match(metrics, /^terrace_scrub_total_bytes\{.*\} 6000000$/m);
  const status = await runCommand('status', ...where);
  assert.match(status.stdout, /\nScrub: \d+ % of 6\.0 MB, \d of 4 blobs/);

  await using second = startCommand('scrub', ...where);
  await second.untilOutput(/A scrub runs since \d\d:\d\d UTC: this shows it/);
  first.child.kill('SIGINT');
  assert.equal(await first.exited(), 130);
  assert.match(first.text, /the scrub continues in the layer/);
  assert.ok((await layer.bus().call(scrubProgress, {})).running, 'it still runs');
  second.child.kill('SIGINT');
  assert.equal(await second.exited(), 130);
  assert.ok((await layer.bus().call(scrubProgress, {})).running, 'it still runs');
});
