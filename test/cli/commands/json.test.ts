import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { Command } from 'commander';
import { programOf } from '../../../cli/commands/program.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { program, runCommand } from '../../support/terrace.ts';

/** Answers for scripts: `--json` of each command, and what each exit code stands for. */

/** Commands whose output is a script, a document or a log by itself, or that run until they are stopped. */
const WITHOUT_JSON = [
  ...['up', 'syncer', 'completion', 'complete', 'man', 'config schema', 'iotedge manifest'],
];

let layer: TestLayer;
let folder: string;
before(async () => {
  layer = await testLayer({ compact: 'hosted' });
  folder = await mkdtemp(join(tmpdir(), 'terrace-json-'));
});
after(async () => {
  await layer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test('every command that answers has --json', async () => {
  const without: string[] = [];
  const visit = (command: Command, path: string) => {
    const isLeaf = command.commands.length === 0 || command.options.length > 1;
    if (isLeaf && !command.options.some(({ long }) => long === '--json')) without.push(path);
    for (const inner of command.commands) visit(inner, `${path} ${inner.name()}`.trim());
  };
  visit(await programOf(), '');
  assert.deepEqual(without.sort(), WITHOUT_JSON.sort());
});

/** In this order, as each line may need what one before it made. */
const answers: [line: string, shape: RegExp][] = [
  ['version', /^\{"terrace":/],
  ['config show', /^\{"running":true/],
  ['token create ci --pull *', /"password":"/],
  ['token rotate ci', /"name":"password2"/],
  ['token disable ci', /"enabled":false/],
  ['token enable ci', /"enabled":true/],
  ['token show ci', /"actions":\[/],
  ['token list', /^\[\{/],
  ['scope create readers --pull a', /"name":"readers"/],
  ['token set ci --scope-map readers', /"scopeMap":"readers"/],
  ['token delete ci', /^\{"name":"ci","deleted":true\}$/],
  ['scope set readers --push a', /"actions":\[/],
  ['scope show readers', /"name":"readers"/],
  ['scope delete readers', /^\{"name":"readers","deleted":true\}$/],
  ['child create line-1 --repository *', /"document":\{/],
  ['child deactivate line-1', /^\{"name":"line-1"\}$/],
  ['child list', /^\[\{"name":"line-1"/],
  ['gc --dry-run', /"dryRun":true/],
  ['scrub', /"damaged":\[\]/],
  ['status', /"services":\[/],
  ['replay', /"transfers":\[\]/],
];
for (const [line, shape] of answers) {
  test(`terrace ${line} --json is one JSON value on stdout, and nothing on stderr`, async () => {
    const {
      code,
      text: printed,
      stdout,
    } = await runCommandHere(...line.split(' '), ...['--data', layer.data, '--json']);
    assert.equal(code, 0, printed);
    assert.equal(printed, stdout);
    assert.match(JSON.stringify(JSON.parse(stdout)), shape);
  });
}

test('commands without a running layer answer in JSON, too', async () => {
  const data = join(folder, 'apart');
  const init = await runCommandHere('init', '--bus', 'nats:4222', '--data', data, '--json');
  assert.equal(JSON.parse(init.stdout).bus, 'nats://nats:4222');
  const child = spawn(program, ['token', 'hash', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end('a long password\n');
  assert.match(JSON.parse(await text(child.stdout)).hash, /^scrypt\$/);
  const manifest = join(folder, 'wrong.json');
  await writeFile(manifest, '{}');
  const checked = await runCommandHere('iotedge', 'check', manifest, '--json');
  assert.equal(checked.code, 1);
  const { valid, complaints } = JSON.parse(checked.stdout);
  assert.ok(valid === false && complaints.length > 0);
});

test('health and repair answer in JSON', async () => {
  await using other = await testLayer({ compact: true });
  const health = await runCommand('health', '--data', other.data, '--json');
  assert.deepEqual([health.code, JSON.parse(health.stdout).healthy], [0, true]);
  await other.stop();
  const unhealthy = await runCommand('health', '--data', other.data, '--json');
  assert.equal(unhealthy.code, 1);
  assert.equal(JSON.parse(unhealthy.text).error.code, 'no-layer');
  const repair = await runCommand('repair', '--data', other.data, '--json');
  assert.deepEqual(JSON.parse(repair.stdout), { kind: 'intact' });
});

/** What a script distinguishes by the exit code, with the code of the JSON error. */
const failures: [what: string, parameters: () => string[], exitCode: number, code: string][] = [
  ['an unknown option', () => ['status', '--nonsense'], 2, 'usage'],
  ['an argument of another form', () => ['token', 'show', '..', '--data', layer.data], 2, 'usage'],
  ['no layer', () => ['status', '--data', folder], 69, 'no-layer'],
  [
    'an account that does not exist',
    () => ['token', 'show', 'none', '--data', layer.data],
    1,
    'account-unknown',
  ],
  [
    'an account that exists',
    () => ['token', 'create', 'line-1', '--pull', '*', '--data', layer.data],
    1,
    'exists',
  ],
  ['a system scope map', () => ['scope', 'delete', '_repositories_pull', '--data', layer.data], 77, 'denied'],
  ['a layer without a parent', () => ['sync', '--data', layer.data], 1, 'config-invalid'],
  ['no data', () => ['token', 'list', '--data', folder], 1, 'failed'],
];
for (const [what, parameters, exitCode, code] of failures) {
  test(`${what}: exit code ${exitCode}, and with --json the code ${code} in one object on stderr`, async () => {
    const plain = await runCommandHere(...parameters());
    assert.equal(plain.code, exitCode, plain.text);
    assert.match(plain.text, /^terrace: [^\n]+\n$/);
    const { code: exited, text: printed, stdout } = await runCommandHere(...parameters(), '--json');
    assert.deepEqual([exited, stdout], [exitCode, '']);
    const { error } = JSON.parse(printed);
    assert.deepEqual(error, { code, message: plain.text.slice('terrace: '.length).trimEnd(), exitCode });
  });
}
