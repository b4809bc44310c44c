import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { Command } from 'commander';
import { programOf } from '../../../cli/commands/program.ts';
import { otherCommands, otherOptions, otherVerbs } from '../../../cli/input/other-words.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { program as terrace } from '../../support/terrace.ts';

/** A command line that is not valid is refused in one sentence with the remedy, and exit code 2. */

const rows: [line: string, error: string][] = [
  ['staus', '"staus" is not a command: did you mean "terrace status"?'],
  ['xyzzy', '"xyzzy" is not a command: "terrace --help" lists all commands'],
  ['prune', '"prune" is not a command: "terrace gc" deletes content that nothing refers to'],
  [
    'ls',
    '"ls" is not a command: "terrace repositories" lists the repositories of the layer, and "terrace tags" the tags of one',
  ],
  [
    'stop --data d',
    '"stop" is not a command: a layer runs until its process gets SIGTERM or Ctrl-C: stop "terrace up", or the service or container that runs it',
  ],
  ['token crate ci', '"crate" is not a command of "terrace token": did you mean "terrace token create"?'],
  ['token rm ci', '"rm" is not a command of "terrace token": write "terrace token delete"'],
  ['child frob', '"frob" is not a command of "terrace child": its commands are create, list, deactivate'],
  ['token create', '<name> is missing: write it, as in "terrace token create line-1"'],
  ['iotedge manifest', '<layer> is missing: write it, as in "terrace iotedge manifest top"'],
  [
    'iotedge manifest nestd',
    '<layer> "nestd" is not valid: did you mean nested? Write top, nested or pass-through',
  ],
  ['events --sinc 2h', '"--sinc" is not an option of "terrace events": did you mean --since?'],
  [
    'events --xyzzy',
    '"--xyzzy" is not an option of "terrace events": "terrace events --help" lists its options',
  ],
  ['status --output json', '"--output" is not an option of "terrace status": write --json'],
  ['status -o json', '"-o" is not an option of "terrace status": write --json'],
  [
    '--data d status',
    '"--data" is not an option of "terrace": write options after the command, as in "terrace status --data"',
  ],
  ['events --color red', '--color "red" is not valid: write auto, always or never'],
  ['events --tail 0', '--tail "0" is not valid: write a number from 1 to 100000'],
  ['events --since', '--since has no value: write it as --since <when>'],
  ['init', '--bus is missing: write it, as in "terrace init --bus <host:port>"'],
  ['help staus', '"staus" is not a command: did you mean "terrace status"?'],
  [
    'help ls',
    '"ls" is not a command: "terrace repositories" lists the repositories of the layer, and "terrace tags" the tags of one',
  ],
  ['events -n 3', '"-n" is not an option of "terrace events": write --tail'],
  ['gc now', '"terrace gc" takes no argument, and "now" is one more: remove it, or see "terrace gc --help"'],
];
for (const [line, error] of rows) {
  test(`terrace ${line}: ${error}`, async () => {
    const result = await runCommandHere(...line.split(' '));
    assert.deepEqual(result, { code: 2, text: `terrace: ${error}\n`, stdout: '' });
  });
}

test('a word of any length and content is shown as its beginning, in one line', async () => {
  const { text } = await runCommandHere(`${'x\u001b[31m\n'.repeat(100_000)}`);
  assert.ok(text.length < 300);
  assert.equal(text.trim().split('\n').length, 1);
  assert.ok(!text.includes('\u001b'));
});

test('in a terminal, an error is wrapped by words', (t) => {
  if (!existsSync('/usr/bin/script')) return t.skip('script is not installed');
  const { stdout } = spawnSync('script', ['-qec', `stty cols 60; ${terrace} xyzzy`, '/dev/null'], {
    encoding: 'utf8',
    input: '',
  });
  assert.equal(
    stdout.replaceAll('\r', ''),
    'terrace: "xyzzy" is not a command: "terrace --help" lists\n    all commands\n',
  );
});

test('each argument that a command needs has an example', async () => {
  const without: string[] = [];
  const visit = async (command: Command, path: string[]) => {
    if (command.registeredArguments.some(({ required }) => required)) {
      const { text } = await runCommandHere(...path);
      if (!/ is missing: write it, as in "terrace (?:[^<"]|--\S+ <)+"\n$/.test(text)) without.push(text);
    }
    for (const inner of command.commands) await visit(inner, [...path, inner.name()]);
  };
  await visit(await programOf(), []);
  assert.deepEqual(without, []);
});

test('a noun without a verb prints its help on stderr', async () => {
  const { code, text, stdout } = await runCommandHere('token');
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(text, /^Usage: terrace token/);
});

test('what is proposed for words of other tools exists, and the words do not', async () => {
  const program = await programOf();
  const find = (words: string[]): Command | undefined =>
    words.reduce<Command | undefined>(
      (owner, word) => owner?.commands.find((one) => one.name() === word),
      program,
    );
  for (const [word, text] of Object.entries(otherCommands)) {
    assert.equal(find([word]), undefined, word);
    for (const [, line = ''] of text.matchAll(/"terrace ([^"]+)"/g)) {
      const [words, options] = [line.split(' ').filter((one) => !one.startsWith('-')), line.match(/--\w+/g)];
      const command = find(words);
      assert.ok(command, line);
      for (const option of options ?? [])
        assert.ok(
          command.options.some(({ long }) => long === option),
          line,
        );
    }
  }
  const verbs = program.commands.flatMap(({ commands }) => commands.map((one) => one.name()));
  for (const verb of Object.values(otherVerbs)) assert.ok(verbs.includes(verb), verb);
  const options = program.commands.flatMap((command) => command.options.map(({ long }) => long));
  for (const option of Object.values(otherOptions)) assert.ok(options.includes(option), option);
});
