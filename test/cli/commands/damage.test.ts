import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { testLayer } from '../../support/layer.ts';
import { freePort } from '../../support/ports.ts';
import { getManifest, pushImage } from '../../support/registry/image.ts';
import { runCommand, startCommand } from '../../support/terrace.ts';

/** A layer with damaged metadata does not start, and does not retry. */

let data: string;
before(async () => {
  data = await mkdtemp(join(tmpdir(), 'terrace-unusable-'));
  assert.equal((await runCommandHere('token', 'create', 'ci', '--pull', '*', '--data', data)).code, 0);
  await writeFile(join(data, 'metadata/CURRENT'), 'nonsense');
});
after(() => rm(data, { recursive: true, force: true }));

const lastLine = (text: string) => text.trim().split('\n').at(-1);
const REFUSAL =
  /^terrace: the metadata in \S+ is damaged \(CURRENT is damaged\).*: run "terrace repair --data /;

for (const options of [[], ['--compact'], ['--listen-to-others']]) {
  test(`up ${options.join(' ')} reports the damage and the remedy, and ends with 65`, async () => {
    const host = options.includes('--listen-to-others') ? '0.0.0.0' : '127.0.0.1';
    const compact = options.filter((option) => option === '--compact');
    const listen = ['--listen', `${host}:${await freePort()}`];
    const { code, text } = await runCommand('up', '--data', data, ...listen, ...compact);
    assert.equal(code, 65, text);
    assert.match(lastLine(text) ?? '', REFUSAL);
    const log = (await readFile(join(data, 'log/terrace.log'), 'utf8')).trim().split('\n');
    const ends = log.filter((line) => /exited with code 65; not restarted/.test(line));
    assert.equal(ends.length, 1);
    await rm(join(data, 'log/terrace.log'));
  });
}

test('a command that needs storage fails with the same message', async () => {
  const { code, text } = await runCommand('token', 'list', '--data', data);
  assert.equal(code, 65);
  assert.match(text, REFUSAL);
  assert.equal(text.trim().split('\n').length, 1);
});

test('repair restores what is left, and the layer starts again', async () => {
  // As with docker compose: whether that bus runs is unknown, so its store is not changed.
  const [url, configuration] = [join(data, 'bus/url'), join(data, 'bus/nats.conf')];
  await writeFile(url, 'nats://nats.invalid:4222\n');
  const before = await readFile(configuration, 'utf8');
  const { code, text } = await runCommand('repair', '--data', data);
  assert.equal(code, 0, text);
  assert.match(text, /^terrace: the events .* \(the bus at nats:\/\/nats\.invalid:4222 does not answer/);
  assert.match(text, /\nDamaged:\n {2}CURRENT is damaged\n/);
  assert.equal(await readFile(configuration, 'utf8'), before);
  await rm(url);
  assert.match(text, /\nLost:\n {2}nothing\n/);
  assert.match(text, /\nThe old metadata is preserved in \S+\/repair\/[^/]+\/metadata\.\n$/);
  assert.match((await runCommandHere('token', 'list', '--data', data)).text, /^ci /m);
  assert.match((await runCommand('repair', '--data', data)).text, /^The metadata are intact/);
});

test('a repair that was interrupted at its end is finished and audited', async () => {
  const entries = async () => {
    const text = await readFile(join(data, 'log/audit.log'), 'utf8');
    return text.match(/"action":"metadata\/repair","outcome":"\w+"/g) ?? [];
  };
  const before = (await entries()).length;
  const [name] = await readdir(join(data, 'repair'));
  await rename(join(data, 'metadata'), join(data, 'repair', name as string, 'rebuilt'));
  const { code, text } = await runCommand('repair', '--data', data);
  assert.equal(code, 0, text);
  assert.match(text, /^The interrupted repair is finished: /);
  const added = (await entries()).slice(before).map((entry) => entry.split('"').at(-2));
  assert.deepEqual(added, ['begun', 'done']);
});

test('a repair ends with the command that started it', async () => {
  const folder = join(data, 'other');
  const current = join(folder, 'metadata/CURRENT');
  await mkdir(join(folder, 'metadata'), { recursive: true });
  // The reader of a FIFO waits for a writer.
  assert.equal(spawnSync('mkfifo', [current]).status, 0);
  await using command = startCommand('repair', '--data', folder);
  await using writer = await open(current, 'w');
  process.kill(command.child.pid as number, 'SIGKILL');
  // The process of the repair has the same output: it is closed when both have ended.
  assert.equal(await command.exited(), 'SIGKILL');
  assert.ok(writer.fd > 0);
});

test('a tag of which only an event is left is restored; a running layer is not repaired', async () => {
  const layer = await testLayer({ compact: true });
  const { digest } = await pushImage(layer.host, 'line/app', 'pushed');
  await layer.event(tagMoved);
  assert.match(
    (await runCommand('repair', '--data', layer.data)).text,
    /^terrace: a Terrace \(process \d+\) runs on /,
  );
  await layer.stop();
  await rm(join(layer.data, 'metadata'), { recursive: true });
  const { text } = await runCommand('repair', '--open', '--data', layer.data);
  assert.match(text, /Damaged:\n {2}metadata is missing\nRestored:\n/);
  assert.match(text, /\n {2}tag line\/app:pushed, which pointed to sha256:/);
  await layer.start();
  assert.equal((await getManifest(layer.host, 'line/app', 'pushed'))?.digest, digest);
  await layer[Symbol.asyncDispose]();
});
