import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommandHere } from '../support/command-line.ts';
import { testLayer } from '../support/layer.ts';
import { pushImage } from '../support/registry/image.ts';
import { request } from '../support/registry/registry.ts';
import { smallVolume } from '../support/small-volume.ts';
import { until } from '../support/until.ts';

test('a layer restarts and serves reads without a free inode, and accepts pushes once some are free', async (t) => {
  await using volume = await smallVolume(128, 10_000);
  if (!volume) return t.skip('needs the right to mount');
  const folder = await mkdtemp(join(tmpdir(), 'terrace-full-inodes-'));
  t.after(() => rm(folder, { recursive: true }));
  const configFile = join(folder, 'layer.yaml');
  await writeFile(configFile, 'reserve: 16MiB\nmode: ReadWrite\n');
  const data = join(volume.path, 'data');
  let digest = '';
  {
    await using layer = await testLayer({ data, configFile, compact: 'hosted' });
    ({ digest } = await pushImage(layer.url, 'app', 'v1', { layers: [{ seed: 'a', size: 10_000 }] }));
    await until(() => existsSync(join(data, 'ballast-inodes')));
  }
  const freeInodes = await volume.fillInodes(0);
  await using layer = await testLayer({ data, configFile, compact: 'hosted' });
  assert.equal((await request(layer.url, `/v2/app/manifests/${digest}`)).status, 200);
  const startUpload = async () =>
    (await request(layer.url, '/v2/app/blobs/uploads/', { method: 'POST' })).status;
  assert.equal(await startUpload(), 507);
  const { stdout } = await runCommandHere('status', '--data', data);
  assert.match(stdout, /error {4}new content is rejected: \d+ inodes? (is|are) free, and the reserve is 500/);
  assert.equal((await request(layer.url, '/v2/app/manifests/v1', { method: 'DELETE' })).status, 202);
  await freeInodes();
  await until(async () => (await startUpload()) === 202);
});
