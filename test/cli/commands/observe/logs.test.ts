import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommandHere } from '../../../support/command-line.ts';
import { freePort } from '../../../support/ports.ts';
import { runCommand, startCommand, startCommandWith } from '../../../support/terrace.ts';

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'terrace-logs-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const linesOf = (text: string) => text.split('\n').filter(Boolean);

test('terrace logs selects by service, age, level and number, and works without a layer', async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'log'));
  const entry = (minutesAgo: number, level: number, service: string, msg: string) =>
    JSON.stringify({ level, time: Date.now() - minutesAgo * 60_000, layer: 'a', pid: 1, service, msg });
  const entries = [
    entry(180, 30, 'gateway', 'a'),
    entry(90, 40, 'storage', 'b'),
    entry(30, 50, 'syncer-1', 'c'),
    entry(1, 30, 'syncer-2', 'd'),
  ];
  await writeFile(join(folder.path, 'log/terrace.log.1'), `${entries.slice(0, 2).join('\n')}\n`);
  await writeFile(join(folder.path, 'log/terrace.log'), `${entries.slice(2).join('\n')}\n`);
  const logs = (...parameters: string[]) => runCommandHere('logs', '--data', folder.path, ...parameters);
  const rows: [parameters: string[], expected: string][] = [
    [[], 'abcd'],
    [['--service', 'syncer'], 'cd'],
    [['--service', 'gateway', 'storage'], 'ab'],
    [['--since', '2h'], 'bcd'],
    [['--level', 'warn'], 'bc'],
    [['-n', '1'], 'd'],
    [['--level', 'warn', '--lines', '1'], 'c'],
  ];
  for (const [parameters, expected] of rows) {
    const { code, stdout } = await logs(...parameters);
    assert.equal(code, 0);
    assert.equal(
      linesOf(stdout)
        .map((line) => line.at(-1))
        .join(''),
      expected,
      parameters.join(' '),
    );
  }
  assert.deepEqual(linesOf((await logs('--json')).stdout), entries);
  for (const wrong of [
    ['-n', '0'],
    ['--since', 'yesterday'],
    ['--service', 'syncer-1'],
  ]) {
    assert.equal((await logs(...wrong)).code, 2);
  }
});

test('without a log file, terrace logs says where the log is', async () => {
  await using folder = await temporaryFolder();
  const { code, text } = await runCommandHere('logs', '--data', folder.path);
  assert.equal(code, 1);
  assert.match(text, /^terrace: .* has no log of a layer .*--log-json.*"docker logs".*journalctl/);
});

test('with --log-json, everything that a layer prints is a line of one form, warnings of Node too', async () => {
  await using folder = await temporaryFolder();
  const preload = join(folder.path, 'warn.cjs');
  // Once the program has begun: before, Node itself handles warnings.
  await writeFile(preload, "setTimeout(() => process.emitWarning('a drill'), 1_500).unref();");
  await using up = startCommandWith(
    { NODE_OPTIONS: `--require=${preload}` },
    ...['up', '--data', join(folder.path, 'data'), '--listen', `127.0.0.1:${await freePort()}`, '--log-json'],
  );
  await up.untilOutput(/listening on/);
  await up.untilOutput(/(?:a drill.*){5}/s);
  up.child.kill('SIGTERM');
  assert.equal(await up.exited(), 0);
  const seen = new Set<string>();
  for (const line of linesOf(up.text)) {
    const { level, time, service, msg } = JSON.parse(line);
    assert.deepEqual(
      [typeof level, typeof time, typeof service, typeof msg],
      ['number', 'number', 'string', 'string'],
      line,
    );
    seen.add(service);
  }
  for (const service of ['gateway', 'storage', 'syncer', 'twin-bridge', 'nats-server', 'layer']) {
    assert.ok(seen.has(service), `${service}: ${[...seen]}`);
  }
});

test('with --log-json, an error of the start is a line of the log', async () => {
  await using folder = await temporaryFolder();
  const { code, text } = await runCommand('up', '--log-json', '--data', folder.path, '--mode', 'Neither');
  assert.equal(code, 2);
  const { level, service, msg, exitCode } = JSON.parse(text);
  assert.deepEqual([level, service, exitCode], [60, 'layer', 2]);
  assert.match(msg, /^mode "Neither" is not valid/);
});

test('terrace logs --follow prints what a layer writes, and ends with it or by Ctrl-C', async () => {
  await using folder = await temporaryFolder();
  const data = join(folder.path, 'data');
  await mkdir(join(data, 'log'), { recursive: true });
  await writeFile(join(data, 'log/terrace.log'), '');
  await using logs = startCommand('logs', '--data', data, '--follow', '--service', 'gateway');
  await using up = startCommand(
    'up',
    '--data',
    data,
    '--listen',
    `127.0.0.1:${await freePort()}`,
    '--compact',
  );
  await logs.untilOutput(/gateway {5}info {2}listening on http/);
  logs.child.kill('SIGINT');
  assert.equal(await logs.exited(), 0);
  up.child.kill('SIGTERM');
  await up.exited();
});
