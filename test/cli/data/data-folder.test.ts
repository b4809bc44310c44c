import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolders, writeBus } from '../../../cli/data/data-folder.ts';

test('files of the bus are complete at every moment while they are rewritten', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-data-folder-'));
  try {
    const folder = await makeFolders(data);
    const bus = { host: '127.0.0.1', port: 4222, url: 'nats://127.0.0.1:4222' };
    await writeBus(folder, bus);
    const paths = [folder.busUrl, folder.busIdentity, folder.busConfiguration];
    const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
    let writing = true;
    const writer = (async () => {
      for (let i = 0; i < 100; i += 1) await writeBus(folder, bus);
    })().finally(() => {
      writing = false;
    });
    while (writing) {
      assert.deepEqual(await Promise.all(paths.map((path) => readFile(path, 'utf8'))), texts);
    }
    await writer;
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
