import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { archiveImported } from '#proto/archive/archives.ts';
import { runCommandHere } from '../support/command-line.ts';
import { testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { getManifest, pushImage, tagsOf } from '../support/registry/image.ts';

test('a layer whose parent is a folder takes what arrives there, and its clients pull it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-folders-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const inbox = join(folder, 'inbox');
  await mkdir(inbox);
  const shore = stack.use(await testLayer({ name: 'shore', compact: 'hosted' }));
  await pushImage(shore.host, 'line/app', '1');
  const exported = await runCommandHere('export', '--to', inbox, '--target', 'ship', '--data', shore.data);
  assert.equal(exported.code, 0, exported.text);
  const ship = stack.use(
    await testLayer({ name: 'ship', compact: 'hosted', parent: { folder: inbox, name: 'shore' } }),
  );
  const { sender, moved } = await ship.event(archiveImported);
  assert.deepEqual([sender, moved], ['shore', 1]);
  assert.deepEqual(await tagsOf(ship.host, 'line/app'), ['1']);
  const [here, there] = await Promise.all(
    [ship, shore].map(({ host }) => getManifest(host, 'line/app', '1')),
  );
  assert.equal(here?.digest, there?.digest);
  await using clients = await Clients.create();
  await clients.skopeo(
    'copy',
    '--src-tls-verify=false',
    `docker://${ship.host}/line/app:1`,
    `dir:${join(folder, 'copy')}`,
  );
  const { text } = await runCommandHere('status', '--data', ship.data);
  assert.match(text, /Parent shore, by archives\n {2}from \S+inbox: set 1 imported/);
  assert.doesNotMatch(text, /No parent|can be (imported|written)/);
  const left = (await readdir(inbox)).filter((name) => name.endsWith('-list.json'));
  assert.deepEqual(left, [], 'an imported set is deleted');
});
