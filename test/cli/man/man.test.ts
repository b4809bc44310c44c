import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Command } from 'commander';
import { Document } from '#proto/document/document.ts';
import { fieldsOf } from '#proto/document/fields.ts';
import { programOf } from '../../../cli/commands/program.ts';
import { prose } from '../../../cli/man/roff.ts';
import { exitCodes } from '../../../cli/terminal/refusal.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { isInstalled } from '../completion/shells.ts';

/** The manual pages, as groff and man show them. */

let folder: string;
let files: string[];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-man-'));
  const { code, text } = await runCommandHere('man', folder);
  assert.equal(code, 0, text);
  files = await readdir(folder);
});
after(() => rm(folder, { recursive: true }));

/** Bold, as grotty writes it: a character, a backspace, the character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the backspace
const OVERSTRIKE = /.\u0008/gu;

/** Without what a terminal shows as bold. */
function rendered(file: string): string {
  const { stdout, stderr, status } = spawnSync(
    'groff',
    ['-man', '-Tutf8', '-ww', '-P-c', '-rLL=1000n', join(folder, file)],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  assert.deepEqual([status, stderr], [0, ''], file);
  return stdout.replace(OVERSTRIKE, '');
}

const visible = (command: Command): Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => command.commands.includes(one));

test('every command, option, choice and exit code is in a page, and no page has a warning', async (t) => {
  if (!isInstalled('groff')) return t.skip('groff is not installed');
  const program = await programOf();
  const overview = rendered('terrace.1');
  for (const code of Object.keys(exitCodes)) assert.match(overview, new RegExp(`^ +${code} `, 'm'));
  const names = visible(program).map((command) => command.name());
  assert.deepEqual(
    files.sort(),
    ['terrace.1', 'terrace.yaml.5', ...names.map((name) => `terrace-${name}.1`)].sort(),
  );
  for (const command of visible(program)) {
    assert.ok(overview.includes(`terrace-${command.name()}(1)`), command.name());
    const page = rendered(`terrace-${command.name()}.1`);
    const check = (one: Command) => {
      assert.ok(page.includes(`${command === one ? '' : `${command.name()} `}${one.name()}`), one.name());
      for (const option of one.createHelp().visibleOptions(one)) {
        assert.ok(page.includes(option.flags), `${one.name()} ${option.flags}`);
        for (const choice of option.argChoices ?? []) assert.ok(page.includes(choice), choice);
      }
      for (const inner of visible(one)) check(inner);
    };
    check(command);
  }
});

test('every field of a document is in terrace.yaml(5), with its description', (t) => {
  if (!isInstalled('groff')) return t.skip('groff is not installed');
  const page = rendered('terrace.yaml.5').replace(/\s+/g, ' ');
  for (const [path, { description = '' }] of fieldsOf(Document)) {
    assert.ok(page.includes(path), path);
    const words = description.replaceAll('`', '').slice(0, 60).replace(/\s+/g, ' ').trim();
    assert.ok(page.includes(words), `${path}: ${words}`);
  }
});

test('man shows the pages without warnings', (t) => {
  if (!isInstalled('man')) return t.skip('man is not installed');
  for (const file of files) {
    const { stderr, status, stdout } = spawnSync(
      'man',
      ['--warnings', '-E', 'UTF-8', '-P', 'cat', '-l', join(folder, file)],
      { encoding: 'utf8', env: { ...process.env, MANWIDTH: '80', LC_ALL: 'C.UTF-8' } },
    );
    assert.deepEqual([status, stderr], [0, ''], file);
    assert.match(stdout, /SEE ALSO/i, file);
  }
});

test('a page has a name line that whatis reads, and no text begins a request', async () => {
  for (const file of files) {
    const text = await readFile(join(folder, file), 'utf8');
    const name = file.replace(/\.\d$/, '').replaceAll('-', '\\-');
    assert.ok(text.includes(`.SH NAME\n${name} \\- `), file);
    // Other characters than those of ASCII are named, so that no encoding matters.
    assert.match(text, /^[\n\u0020-\u007e]*$/);
  }
  assert.equal(prose(".x\n'y `-a` \\"), '\\&.x\n\\(aqy \\fB\\-a\\fR \\e');
});
