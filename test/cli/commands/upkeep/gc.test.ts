import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Collected } from '#proto/content/maintenance.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { pushBlob, pushImage } from '../../../support/registry/image.ts';

test('gc says what is held, why and until when, and ends the grace time on request', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  await pushImage(layer.host, 'line/web', '1');
  await pushBlob(layer.host, 'line/loose', Buffer.from('no manifest names this'));
  const terrace = (...parameters: string[]) => runCommandHere('gc', ...parameters, '--data', layer.data);
  const dryRun = await terrace('--dry-run');
  assert.equal(dryRun.code, 0, dryRun.text);
  assert.match(dryRun.text, /^Nothing to delete/);
  assert.match(dryRun.text, /\nHELD +PARTS +SIZE +UNTIL\n/);
  assert.match(dryRun.text, /\ntagged +3 +\S+ kB +kept\n/);
  assert.match(dryRun.text, /\ngrace +1 +22 B +.*\d\d:\d\d UTC\n/);
  assert.match(dryRun.text, /\n {2}grace: Nothing names it, but a client asked for it a short time ago/);
  assert.ok(!(await terrace()).text.includes('HELD'), 'a plain run says only what it did');

  const answer = await fetch(`${layer.url}/api/v1/garbage`);
  const api = (await answer.json()) as Collected;
  const json = JSON.parse((await terrace('--dry-run', '--json')).stdout) as Collected;
  assert.deepEqual(
    json.held?.map(({ reason, count, bytes }) => [reason, count, bytes]),
    api.held?.map(({ reason, count, bytes }) => [reason, count, bytes]),
  );

  const refused = await terrace('--now');
  assert.equal(refused.code, 2);
  assert.match(refused.text, /A push that runs now may fail, .* Confirm with --yes/);
  const ended = await terrace('--now', '--yes', '--explain');
  assert.equal(ended.code, 0, ended.text);
  assert.match(
    ended.text,
    /^Deleted 1 unreferenced blob, 1 link of repositories to blobs, 1 empty repository: 22 B/,
  );
  assert.ok(!ended.text.includes('grace:'));
  const { code } = await terrace('--dry-run', '--now');
  assert.equal(code, 0, 'a dry run asks nobody');
});
