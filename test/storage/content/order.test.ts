import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commitBlob } from '#proto/content/ingests.ts';
import { putManifest } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { TestBus } from '../../support/bus.ts';
import { patience } from '../../support/until.ts';
import { bytesOf, Client, digestOf, imageOf, jsonOf } from '../rig.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const CALLS = 'fsync,fdatasync,rename,chmod,mkdir,rmdir';
const canTrace = spawnSync('strace', ['-f', '-e', 'trace=none', '-o', '/dev/null', 'true']).status === 0;

test('every commit reaches the disk in its order', { skip: !canTrace && 'needs strace' }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-order-'));
  const [data, trace] = [join(folder, 'data'), join(folder, 'trace')];
  await using server = await TestBus.start();
  const bus = await server.connect('gateway');
  // `-D`: storage itself is the child of this process, so that a signal reaches it; `-y`: files by name.
  const args = ['-D', '-f', '-y', '-s', '300', '-e', `trace=${CALLS}`, '-o', trace, process.execPath, MAIN];
  const storage = spawn('strace', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      TERRACE_DATA: data,
      TERRACE_BUS: server.url,
      TERRACE_BUS_PASSWORD: 'secret-of-storage',
      TERRACE_LOG: 'error',
    },
  });
  await bus.call(storageStatus, {}, { patience: patience() });
  const client = new Client(bus, data, 'gateway-1');
  const repository = 'lib/app';

  const blobs = [bytesOf('{}'), bytesOf('layer')];
  const manifest = jsonOf(imageOf('layer'));
  const ids: string[] = [];
  for (const bytes of [...blobs, manifest]) {
    const { id, claim } = await client.uploaded(repository, bytes);
    ids.push(id);
    const query = { id, claim, digest: digestOf(bytes), repository };
    if (bytes !== manifest) await client.call(commitBlob, query);
    else await client.call(putManifest, { ...query, mediaType: mediaTypes.ociManifest, tag: 'v1' });
  }
  const inline = jsonOf({ ...imageOf('layer'), annotations: { sent: 'in the request' } });
  await client.call(putManifest, {
    repository,
    digest: digestOf(inline),
    bytes: inline,
    mediaType: mediaTypes.ociManifest,
    tag: 'v2',
  });
  storage.kill('SIGTERM');
  await once(storage, 'exit');

  // strace itself ends a little later.
  let text = '';
  while (!text.includes('+++ exited with 0 +++\n')) text = await readFile(trace, 'utf8');
  const lines = text.replaceAll(data, '').split('\n').map(short);
  for (const [i, bytes] of [...blobs, manifest].entries()) {
    const hex = digestOf(bytes).slice('sha256:'.length);
    const parent = `/blobs/sha256/${hex.slice(0, 2)}`;
    const begin = lines.indexOf(`fsync /ingest/${ids[i]}/data`);
    const end = lines.findIndex((line, at) => at > begin && line === 'fdatasync log');
    const own = lines.slice(begin, end + 1).filter((line) => line !== '');
    assert.deepEqual(own, [
      `fsync /ingest/${ids[i]}/data`,
      `mkdir ${parent}`,
      ...(i === 0 ? ['mkdir /blobs/sha256', 'mkdir /blobs', 'mkdir /blobs/sha256', `mkdir ${parent}`] : []),
      `chmod /ingest/${ids[i]}/data`,
      `rename /ingest/${ids[i]}/data ${parent}/${hex}`,
      `fsync ${parent}`,
      'fsync /blobs/sha256',
      // Once for all folders.
      ...(i === 0 ? ['fsync /blobs', 'fsync '] : []),
      'fdatasync log',
    ]);
    // After that the client is answered, and the folder is kept for another upload.
    assert.ok(lines.findIndex((line) => line.startsWith(`rename /ingest/${ids[i]} /spare/`)) > end);
  }
  const hex = digestOf(inline).slice('sha256:'.length);
  const moved = lines.findIndex((line) => line.startsWith('rename /ingest/new-') && line.endsWith(hex));
  const staged = lines[moved]?.split(' ')[1];
  assert.ok(lines.lastIndexOf(`fsync ${staged}`, moved) > 0);
  const written = lines.slice(moved + 1, lines.indexOf('fdatasync log', moved) + 1);
  const parent = `/blobs/sha256/${hex.slice(0, 2)}`;
  assert.deepEqual(
    written.filter((line) => line !== ''),
    [`fsync ${parent}`, 'fsync /blobs/sha256', 'fdatasync log'],
  );
  await rm(folder, { recursive: true, force: true });
});

/** A line of strace as `call path path`; empty if no call begins in it. */
function short(line: string): string {
  const call = /^\d+\s+(\w+)\((.*)$/.exec(line);
  if (!call) return '';
  const [, name, rest = ''] = call;
  const file = /^\d+<([^>]*)>/.exec(rest)?.[1];
  if (file !== undefined) return `${name} ${/^\/metadata\/\d+\.log$/.test(file) ? 'log' : file}`;
  return [name, ...[...rest.matchAll(/"([^"]*)"/g)].map(([, path]) => path)].join(' ');
}
