import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { programOf } from '../../../cli/commands/program.ts';
import { completionSpec } from '../../../cli/completion/completion-spec.ts';
import { layerNames } from '../../../cli/completion/names.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { testLayer } from '../../support/layer.ts';
import { pushImage } from '../../support/registry/image.ts';
import { patience } from '../../support/until.ts';
import { bashProposals, fishProposals, isInstalled, TypedShell } from './shells.ts';

/** The scripts of `terrace completion`, in real shells. */

let folder: string;
const scripts = { bash: '', zsh: '', fish: '' };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-completion-'));
  await writeFile(join(folder, 'plant.yaml'), '');
  await mkdir(join(folder, 'plants'));
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    scripts[shell] = join(folder, `script.${shell}`);
    await writeFile(scripts[shell], (await runCommandHere('completion', shell)).stdout);
  }
});
after(() => rm(folder, { recursive: true }));

const rows: [line: string, proposals: string[]][] = [
  ['terrace to', ['token']],
  ['terrace token cr', ['create']],
  ['terrace token ', 'create rotate hash list show set disable enable delete help'.split(' ')],
  ['terrace up --mode Re', ['ReadOnly', 'ReadWrite']],
  ['terrace up --config pla', ['plant.yaml', 'plants']],
  ['terrace up --data pla', ['plants']],
  ['terrace up --compact --listen 127.0.0.1:1 --challenge B', ['Bearer', 'Basic']],
  ['terrace config check pla', ['plant.yaml', 'plants']],
  ['terrace iotedge manifest n', ['nested']],
  ['terrace events --type pass.started link.c', ['link.changed']],
  ['terrace logs --service storage ga', ['gateway']],
  ['terrace completion z', ['zsh']],
  ['terrace child create line-1 --mo', ['--mode']],
  ['terrace events -', []],
  ['terrace up --listen ', []],
  ['terrace comp', ['completion']],
];

test('every command and option is known to the scripts, and none that is hidden', async () => {
  const specs = completionSpec(await programOf());
  const paths = specs.map(({ path }) => path);
  for (const path of ['up', 'token create', 'config check', 'completion']) assert.ok(paths.includes(path));
  assert.ok(!paths.includes('complete'));
  for (const { path, options } of specs) {
    assert.ok(
      options.some(({ long }) => long === '--help'),
      path,
    );
  }
});

for (const [line, proposals] of rows) {
  const [, ...words] = line.split(' ');
  test(`bash: ${line}`, () => {
    const found = bashProposals(scripts.bash, ['terrace', ...words], folder);
    if (line.endsWith(' -')) assert.ok(found.includes('--follow') && found.includes('-f'), String(found));
    else assert.deepEqual(found.sort(), [...proposals].sort());
  });
  test(`fish: ${line}`, (t) => {
    if (!isInstalled('fish')) return t.skip('fish is not installed');
    const found = fishProposals(scripts.fish, line, folder).map((one) => one.replace(/\/$/, ''));
    if (line.endsWith(' -')) assert.ok(found.includes('--follow') && found.includes('-f'), String(found));
    else assert.deepEqual(found.sort(), [...proposals].sort());
  });
}

test('bash: --option=value, which bash splits at the equals sign', () => {
  const words = ['terrace', 'up', '--mode', '=', 'ReadO'];
  assert.deepEqual(bashProposals(scripts.bash, words), ['ReadOnly']);
  assert.deepEqual(bashProposals(scripts.bash, words.slice(0, 4)), ['ReadOnly', 'ReadWrite']);
});

const typed: [keys: string, shown: RegExp][] = [
  ['terrace to\t', /terrace token /],
  ['terrace token cr\t', /terrace token create /],
  ['terrace up --mode ReadO\t', /--mode ReadOnly /],
  ['terrace up --config plant.\t', /--config plant\.yaml /],
  ['terrace config che\t', /terrace config check /],
];
for (const [shell, command, ready] of [
  ['bash', 'bash --norc --noprofile -i', "PS1='$ '"],
  ['zsh', 'zsh -f -i', "PS1='$ '; autoload -Uz compinit; compinit -u -D"],
] as const) {
  test(`${shell} completes by TAB in a terminal`, async (t) => {
    if (!isInstalled(shell) || !isInstalled('script')) return t.skip(`${shell} or script is not installed`);
    await using terminal = new TypedShell(command, folder);
    terminal.type(`${ready}; source ${scripts[shell]}; echo is-${''}ready\n`);
    await terminal.shows(/^is-ready$/m);
    for (const [keys, shown] of typed) {
      terminal.type(keys);
      await terminal.shows(shown);
      // Ctrl-U: an empty line.
      terminal.type('\u0015');
    }
  });
}

test('names of a running layer are completed, and without a layer none, at once', async (t) => {
  // Inherited by the commands that the scripts start.
  process.env.TERRACE_COMPLETION_MS = '60000';
  t.after(() => delete process.env.TERRACE_COMPLETION_MS);
  await using layer = await testLayer({ compact: true });
  const data = ['--data', layer.data];
  await runCommandHere('token', 'create', 'camera', '--pull', '*', ...data);
  await runCommandHere('token', 'create', 'crane', '--pull', '*', ...data);
  await runCommandHere('child', 'create', 'line-1', '--repository', '*', ...data);
  assert.deepEqual(bashProposals(scripts.bash, ['terrace', 'token', 'show', ...data, 'c']).sort(), [
    'camera',
    'crane',
  ]);
  assert.deepEqual(bashProposals(scripts.bash, ['terrace', 'child', 'deactivate', ...data, '']), ['line-1']);
  assert.ok(
    bashProposals(scripts.bash, [
      'terrace',
      'token',
      'set',
      'crane',
      ...data,
      '--scope-map',
      '_rep',
    ]).includes('_repositories_pull'),
  );
  assert.deepEqual(bashProposals(scripts.bash, ['terrace', 'token', 'show', '--data', folder, '']), []);
  const zsh = isInstalled('zsh') && isInstalled('script');
  if (zsh) {
    await using terminal = new TypedShell('zsh -f -i', folder);
    terminal.type(
      `PS1='$ '; autoload -Uz compinit; compinit -u -D; source ${scripts.zsh}; echo is-${''}ready\n`,
    );
    await terminal.shows(/^is-ready$/m);
    terminal.type(`terrace token show --data ${layer.data} cra\t`);
    await terminal.shows(/ crane /);
  } else t.diagnostic('zsh or script is not installed');
  if (!isInstalled('fish')) return t.diagnostic('fish is not installed');
  assert.deepEqual(fishProposals(scripts.fish, `terrace token show --data ${layer.data} cr`), ['crane']);
});

test('names of repositories are those with the prefix', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  for (const name of ['base/app', 'line/a', 'line/b', 'line-2/c']) {
    await pushImage(layer.host, name, 'v1', { layers: [10] });
  }
  const names = (prefix: string) =>
    layerNames('repositories', layer.data, prefix, AbortSignal.timeout(patience()));
  const all = ['base/app', 'line-2/c', 'line/a', 'line/b'];
  assert.deepEqual(await names(''), all);
  assert.deepEqual(await names('l'), all.slice(1));
  assert.deepEqual(await names('line/'), ['line/a', 'line/b']);
  assert.deepEqual(await names('line/a'), ['line/a']);
  assert.deepEqual(await names('Line//'), []);
});

test('terrace complete is silent, whatever happens', async () => {
  for (const parameters of [
    ['tokens', '--data', folder],
    ['repositories', 'a', '--data', '/proc/none'],
  ]) {
    assert.deepEqual(await runCommandHere('complete', ...parameters), { code: 0, text: '', stdout: '' });
  }
});
