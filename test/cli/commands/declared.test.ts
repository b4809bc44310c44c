import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { runCommandHere } from '../../support/command-line.ts';
import { freePort } from '../../support/ports.ts';
import { program, startCommand } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

/** Output of `terrace token hash` with this password on stdin. */
async function hashOf(password: string): Promise<string> {
  const child = spawn(program, ['token', 'hash'], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(password);
  const [hash, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return hash.trim() || error.trim();
}

test('a layer with declared accounts admits other machines with them, from its first start on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-declared-'));
  try {
    const data = join(folder, 'data');
    const config = join(folder, 'terrace.yaml');
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/v2/`;
    const status = async (name?: string, password?: string) => {
      const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
      return (await fetch(url, name ? { headers: { authorization } } : {})).status;
    };
    const becomes = (expected: number, name: string, password: string) =>
      until(async () => (await status(name, password)) === expected, `${name} becomes ${expected}`);
    assert.match(await hashOf('short\n'), /^terrace: the password on stdin has 5 characters/);
    const hash = await hashOf('a long password\n');
    await writeFile(join(folder, 'secret'), 'a mounted secret\n');
    const child = `children: [{ name: line-1, repositories: line/*, passwords: ["${hash}"] }]`;
    const document = (tokens: string[]) => writeFile(config, `tokens: [${tokens.join(', ')}]\n${child}\n`);
    const ci = `{ name: ci, push: "*", passwords: ["${hash}"] }`;
    await document([ci, '{ name: ops, pull: "*", passwords: [{ secretFile: secret }] }']);

    await using up = startCommand(
      'up',
      '--data',
      data,
      '--listen',
      `0.0.0.0:${port}`,
      '--config',
      config,
      '--compact',
    );
    assert.match(await up.untilOutput(/Ctrl-C stops it/), /Clients log in: 3 tokens\./);
    assert.equal(await status(), 401);
    assert.equal(await status('ci', 'a long password'), 200);
    assert.equal(await status('ops', 'a mounted secret'), 200);
    assert.equal(await status('ops', 'another secret'), 401);

    assert.equal(await status('line-1', 'a long password'), 200);
    const { stdout } = await runCommandHere('child', 'list', '--data', data);
    assert.match(stdout, /^line-1 +ReadOnly +never +line\/\*$/m);
    const token = (...parameters: string[]) => runCommandHere('token', ...parameters, '--data', data);
    assert.match((await token('list')).stdout, /^ci +enabled, declared/m);
    const refused = await token('rotate', 'ci');
    assert.equal(refused.code, 77);
    assert.match(refused.text, /token ci is declared in the configuration document: change it there/);

    await document([ci]);
    await becomes(401, 'ops', 'a mounted secret');
    assert.equal(await status('ci', 'a long password'), 200);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
