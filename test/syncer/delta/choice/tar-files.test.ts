import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { TarFiles } from '../../../../services/syncer/delta/choice/tar-files.ts';
import { noise } from '../../../proto/delta/blobs.ts';

const folder = mkdtempSync(join(tmpdir(), 'terrace-tar-'));
after(() => rmSync(folder, { recursive: true }));

const long = `${'long-folder/'.repeat(20)}file`;
const sizes: Record<string, number> = {
  small: 1,
  [long]: 700,
  'usr/block': 512,
  'usr/large': 100_000,
  empty: 0,
};
for (const [path, size] of Object.entries(sizes)) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), noise(size + 1).subarray(0, size));
}
symlinkSync('small', join(folder, 'link'));

/** @param pieces bytes that arrive at a time */
function filesIn(archive: Buffer, pieces: number) {
  const found: Record<string, number> = {};
  const tar = new TarFiles((path, size) => {
    found[path] = size;
  });
  for (let at = 0; at < archive.length; at += pieces) tar.add(archive.subarray(at, at + pieces));
  return { found, tar };
}

for (const format of ['gnu', 'posix', 'ustar', 'v7']) {
  test(`the files of an archive of GNU tar are found, in pieces of any size: ${format}`, () => {
    const paths = Object.keys(sizes).filter(
      (path) => format === 'gnu' || format === 'posix' || path !== long,
    );
    const archive = execFileSync('tar', ['-C', folder, `--format=${format}`, '-c', 'link', 'usr', ...paths], {
      maxBuffer: 2 ** 24,
    });
    for (const pieces of [1, 511, 512, 70_000, archive.length]) {
      const { found, tar } = filesIn(archive, pieces);
      assert.deepEqual(found, Object.fromEntries(paths.map((path) => [path, sizes[path]])), `${pieces}`);
      assert.ok(tar.isTar && tar.isDone);
    }
  });
}

test('what is no archive is noticed at its first block', () => {
  for (const bytes of [noise(2_000), Buffer.alloc(2_000), Buffer.from('PK\x03\x04'.repeat(400))]) {
    const { found, tar } = filesIn(bytes, 512);
    assert.deepEqual([found, tar.isTar, tar.isDone], [{}, false, true]);
  }
});

test('hostile headers are read in bounded time', () => {
  const archive = execFileSync('tar', ['-C', folder, '--format=posix', '-c', long], { maxBuffer: 2 ** 24 });
  for (let at = 0; at < archive.length; at += 7) {
    const damaged = Buffer.from(archive);
    damaged.fill(0xff, at, at + 5);
    filesIn(damaged, 4_096);
  }
});
