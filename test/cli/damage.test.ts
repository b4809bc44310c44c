import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../support/bus.ts';
import { run } from '../support/terrace.ts';

/** A layer whose metadata are damaged does not start, and does not try for ever. */

let data: string;
before(async () => {
  data = await mkdtemp(join(tmpdir(), 'terrace-unusable-'));
  assert.equal((await run('token', 'create', 'ci', '--pull', '*', '--data', data)).code, 0);
  await writeFile(join(data, 'metadata/CURRENT'), 'nonsense');
});
after(() => rm(data, { recursive: true, force: true }));

const last = (text: string) => text.trim().split('\n').at(-1);
const SAID =
  /^terrace: the metadata in \S+ are damaged \(CURRENT is damaged\).*: run "terrace repair --data /;

for (const more of [[], ['--compact'], ['--listen-to-others']]) {
  test(`up ${more.join(' ')} ends with what is damaged and what to do, and with 65`, async () => {
    const host = more.includes('--listen-to-others') ? '0.0.0.0' : '127.0.0.1';
    const words = ['--listen', `${host}:${await freePort()}`, ...more.filter((word) => word === '--compact')];
    const { code, text } = await run('up', '--data', data, ...words);
    assert.equal(code, 65, text);
    assert.match(last(text) ?? '', SAID);
    const log = (await readFile(join(data, 'log/terrace.log'), 'utf8')).trim().split('\n');
    const ends = log.filter((line) => /ended with code 65; it is not started again/.test(line));
    assert.equal(ends.length, 1);
    await rm(join(data, 'log/terrace.log'));
  });
}

test('a command that needs storage says the same', async () => {
  const { code, text } = await run('token', 'list', '--data', data);
  assert.equal(code, 65);
  assert.match(text, SAID);
  assert.equal(text.trim().split('\n').length, 1);
});
