import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommandHere } from '../../support/command-line.ts';

/** Patterns that a sync token can't resolve are refused before anything is deployed. */

const top = (...parameters: string[]) =>
  runCommandHere('iotedge', 'manifest', 'top', '--parent', 'contoso.azurecr.io', ...parameters);

test('patterns below an Azure registry are refused, by the generator and by the check', async (t) => {
  for (const parameters of [[], ['--repository', 'line/*', 'base/os']]) {
    const { code, stdout, text } = await top(...parameters);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(text, /terrace\.repositories has (\*|line\/\*), .* contoso\.azurecr\.io/);
    assert.match(text, /name each repository \(--repository\), or add --catalog/);
  }
  const folder = await mkdtemp(join(tmpdir(), 'terrace-manifest-'));
  t.after(() => rm(folder, { recursive: true }));
  const [file, password] = [join(folder, 'top.json'), join(folder, 'password')];
  await writeFile(password, 'the-password-of-the-token');
  const made = await top('--repository', 'line/*', '--catalog', '--password-file', password);
  await writeFile(file, made.stdout);
  assert.match((await runCommandHere('iotedge', 'check', file)).text, /terrace\.repositories has line\/\*,/);
  assert.equal((await runCommandHere('iotedge', 'check', '--catalog', file)).code, 0);
});

test('named repositories, and patterns below another registry, are accepted', async () => {
  assert.equal((await top('--repository', 'line/web', 'base/os')).code, 0);
  const other = ['--parent', 'registry.example.com', '--repository', 'line/*'];
  assert.equal((await runCommandHere('iotedge', 'manifest', 'top', ...other)).code, 0);
  assert.equal((await runCommandHere('iotedge', 'manifest', 'nested', '--repository', '*')).code, 0);
});
