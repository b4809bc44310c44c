import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Backup } from '#proto/content/backups.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { runCommand } from '../../../support/terrace.ts';

async function push(url: string, bytes: Uint8Array): Promise<string> {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const answer = await fetch(`${url}/v2/app/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
  });
  assert.equal(answer.status, 201);
  return digest;
}

test('a layer is backed up while it runs and while it does not, listed, checked, pruned and restored', async (context) => {
  const root = await mkdtemp(join(tmpdir(), 'terrace-backup-command-'));
  context.after(() => rm(root, { recursive: true, force: true }));
  const [data, target, restored] = ['data', 'b', 'restored'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const json = async <T>(...parameters: string[]): Promise<T> => {
    const { code, text, stdout } = await runCommandHere(...parameters, '--json');
    assert.equal(code, 0, text);
    return JSON.parse(stdout) as T;
  };
  const digest = await (async () => {
    await using layer = await testLayer({ data, compact: 'hosted' });
    const pushed = await push(layer.url, randomBytes(100_000));
    const first = await json<Backup>('backup', target, '--data', data, '--rate', '20MB');
    assert.deepEqual([first.blobs, first.written.blobs], [1, 1]);
    return pushed;
  })();
  const text = await runCommand('backup', target, '--data', data, '--keep', '2');
  assert.equal(text.code, 0, text.text);
  assert.match(
    text.stdout.replaceAll(/\s+/g, ' '),
    /^Backup \d{8}T\d{6}Z(-\d)? in .*: 1 blob, 100 kB, and \d+ records, in /,
  );
  assert.match(
    text.stdout.replaceAll(/\s+/g, ' '),
    /Warning: the target is on the file system of the data volume/,
  );

  const { backups } = await json<{ backups: { id: string; layer: string }[] }>('backup', 'list', target);
  assert.equal(backups.length, 2);
  const listed = await runCommandHere('backup', 'list', target);
  assert.match(listed.stdout, new RegExp(`^BACKUP +OF .*\n${backups[0]?.id} `));
  const checked = await runCommandHere('backup', 'check', target);
  assert.match(checked.stdout.replaceAll(/\s+/g, ' '), /^Read back 1 blob, 100 kB, .*: all intact/);
  const pruned = await runCommandHere('backup', 'prune', target, '--keep', '1');
  assert.equal(pruned.stdout, 'Deleted 1 backup and 0 blobs, 0 B; 1 backup kept.\n');
  assert.equal((await runCommandHere('backup', 'prune', target)).code, 2);

  const done = await runCommand('restore', target, '--data', restored);
  assert.equal(done.code, 0, done.text);
  assert.match(done.stdout, /^Restored backup /);
  const again = await runCommandHere('restore', target, '--data', restored);
  assert.deepEqual([again.code, again.text.includes('is not empty')], [1, true]);
  const entry = JSON.parse((await readFile(join(restored, 'log/audit.log'), 'utf8')).trim());
  assert.deepEqual([entry.action, entry.subject], ['backup/restore', backups[1]?.id]);
  await using layer = await testLayer({ data: restored, compact: 'hosted' });
  const answer = await fetch(`${layer.url}/v2/app/blobs/${digest}`);
  assert.equal(answer.status, 200);
  assert.equal(
    createHash('sha256')
      .update(Buffer.from(await answer.arrayBuffer()))
      .digest('hex'),
    digest.slice(7),
  );
});

test('a damaged backup ends the check with code 1 and the restore with what is missing', async (context) => {
  const root = await mkdtemp(join(tmpdir(), 'terrace-backup-command-'));
  context.after(() => rm(root, { recursive: true, force: true }));
  const data = join(root, 'data');
  let digest: string;
  {
    await using layer = await testLayer({ data, compact: 'hosted' });
    digest = await push(layer.url, randomBytes(1_000));
    assert.equal((await runCommandHere('backup', join(root, 'b.tar'), '--data', data)).code, 0);
  }
  const folder = join(root, 'unpacked');
  await mkdir(folder);
  execFileSync('tar', ['-xf', join(root, 'b.tar'), '-C', folder]);
  const hex = digest.slice('sha256:'.length);
  await writeFile(join(folder, 'blobs/sha256', hex.slice(0, 2), hex), 'wrong');
  const checked = await runCommandHere('backup', 'check', folder);
  assert.deepEqual([checked.code, checked.text.includes(digest)], [1, true]);
  const restored = await runCommandHere('restore', folder, '--data', join(root, 'restored'));
  assert.deepEqual([restored.code, restored.stdout.includes(`  ${digest}\n`)], [1, true], restored.text);
});
