import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { freePort } from '../support/bus.ts';
import { run, type } from '../support/terrace.ts';

/** A layer lets other machines in only when it has an account, or when it is told to. */

const NO_ACCOUNTS =
  /^terrace: listen 0\.0\.0\.0:\d+ lets other machines in, and this layer has no accounts: make one with "terrace token create NAME --push '\*' --data .*", listen on 127\.0\.0\.1, or say --insecure-listen/m;

async function place() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-listen-'));
  const data = join(folder, 'data');
  const port = await freePort();
  return {
    data,
    url: `http://127.0.0.1:${port}/v2/`,
    up: (...words: string[]) => ['up', '--data', data, '--listen', `0.0.0.0:${port}`, ...words],
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('listening to other machines', { concurrency: 2 }, () => {
  test('with no data there is no account: refused, and nothing is made', async () => {
    await using at = await place();
    const { code, text } = await run(...at.up());
    assert.equal(code, 2);
    assert.match(text, NO_ACCOUNTS);
    assert.ok(!existsSync(at.data));
  });

  for (const kind of [[], ['--compact']]) {
    const title = ['without a token refused, with one not', ...kind].join(', ');
    test(title, async () => {
      await using at = await place();
      const token = (...words: string[]) => run('token', ...words, '--data', at.data);
      await token('create', 't', '--push', '*');
      await token('delete', 't');
      const refused = await run(...at.up(...kind));
      assert.equal(refused.code, 2);
      assert.match(refused.text, NO_ACCOUNTS);
      assert.deepEqual(await readdir(join(at.data, 'run')), [], 'nothing runs');

      const { stdout } = await token('create', 't', '--push', '*');
      await using up = type(...at.up(...kind));
      const text = await up.says(/Ctrl-C stops it/);
      assert.match(text, /Clients log in: 1 token\./);
      assert.equal((await fetch(at.url)).status, 401);
      const authorization = `Basic ${Buffer.from(`t:${stdout.trim()}`).toString('base64')}`;
      assert.equal((await fetch(at.url, { headers: { authorization } })).status, 200);
    });
  }

  test('--insecure-listen lets everybody in', async () => {
    await using at = await place();
    await using up = type(...at.up('--insecure-listen'));
    assert.match(await up.says(/Ctrl-C stops it/), /No accounts: whoever reaches it may do everything/);
    assert.equal((await fetch(at.url)).status, 200);
  });
});
