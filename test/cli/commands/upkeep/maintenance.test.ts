import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Garbage, Scrubbed } from '#proto/content/maintenance.ts';
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

test('terrace gc and terrace scrub work with and without a running layer', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-upkeep-'));
  context.after(() => rm(data, { recursive: true, force: true }));
  const terrace = (...parameters: string[]) => runCommand(...parameters, '--data', data);
  const json = async <T>(...parameters: string[]): Promise<T> => {
    const { code, text, stdout } = await runCommandHere(...parameters, '--json', '--data', data);
    assert.equal(code, 0, text);
    return JSON.parse(stdout) as T;
  };
  const bytes = randomBytes(100_000);
  let digest: string;
  {
    await using layer = await testLayer({ data, compact: 'hosted' });
    digest = await push(layer.url, bytes);
    await push(layer.url, randomBytes(1_000));
    const gc = await json<Garbage>('gc', '--dry-run');
    assert.deepEqual([gc.dryRun, gc.blobs], [true, 0], 'both blobs are in their grace');
    const scrubbed = await json<Scrubbed>('scrub', '--rate', '20MB');
    assert.deepEqual([scrubbed.checked, scrubbed.bytes, scrubbed.damaged], [2, 101_000, []]);
  }

  const gc = await terrace('gc');
  assert.equal(gc.code, 0, gc.text);
  assert.match(gc.text, /No layer runs here, .*: content is kept/);
  assert.match(gc.stdout, /^Nothing to delete/);
  const hex = digest.slice('sha256:'.length);
  const file = join(data, 'blobs/sha256', hex.slice(0, 2), hex);
  await chmod(file, 0o600);
  await writeFile(file, Buffer.concat([Buffer.from('x'), bytes.subarray(1)]));
  const scrubbed = await terrace('scrub');
  assert.equal(scrubbed.code, 1, scrubbed.text);
  assert.match(scrubbed.stdout, new RegExp(`1 damaged, moved to the folder quarantine:\n  ${digest}\n$`));
});
