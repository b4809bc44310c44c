import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { programOf } from '../../../cli/commands/program.ts';
import { runCommandHere } from '../../support/command-line.ts';

/** Command lines that scripts and deployments use, each with the command that has to take it. */
const invocations: Record<string, string[]> = {
  up: [
    'up',
    'up --data d --listen 0.0.0.0:5000 --name line --mode ReadOnly --syncers 2 --gateways 2 --compact --log-json',
    'up --parent https://above --parent-username line --parent-password-file p --parent-ca ca --repository line/* a=b --schedule */5_*_*_*_* --window PT2H --bandwidth 2Mbit',
    'up --parent-certificate c --parent-key k --tls-certificate c --tls-key k --login-server reg:5000 --trusted-proxy 10.0.0.0/8 --challenge Basic',
    'up --anonymous-pull line/* --event-ttl P1D --reserve 2GB --config terrace.yaml --insecure-listen',
  ],
  init: ['init --data d --bus nats:4222'],
  syncer: ['syncer --data d --bus nats://nats:4222 --credentials c --syncers 2 --log-json'],
  health: ['health', 'health --data d --service gateway'],
  status: ['status', 'status --data d --json', 'status -w', 'status --watch 5 --color never'],
  events: [
    'events',
    'events -f --since 2h --type tag pass.finished --tail 10 --layer line --json --color always',
    'events --follow --any-type',
  ],
  replay: ['replay --data d --until 12 --json'],
  repositories: ['repositories'],
  sync: ['sync', 'sync --data d --full --now --json'],
  pause: ['pause --data d'],
  resume: ['resume --data d'],
  'token create': [
    'token create ci --pull * --push a/* --delete b --operate --expires P90D --json',
    'token create ci --scope-map readers --data d',
    'token create ci --action repositories/line/*/content/read --operate read',
  ],
  'token rotate': ['token rotate ci --password password2 --expires 2030-01-01 --json'],
  'token hash': ['token hash'],
  'token list': ['token list --json'],
  'token show': ['token show ci --json'],
  'token set': ['token set ci --scope-map readers'],
  'token disable': ['token disable ci --data d'],
  'token enable': ['token enable ci --data d'],
  'token delete': ['token delete ci --data d'],
  'scope create': ['scope create readers --pull * --description all --json'],
  'scope set': ['scope set readers --push line/*'],
  'scope list': ['scope list --json'],
  'scope show': ['scope show readers'],
  'scope delete': ['scope delete readers --data d'],
  'child create': ['child create line-1 --repository line/* --mode ReadWrite --json --data d'],
  'child list': ['child list --json'],
  'child deactivate': ['child deactivate line-1'],
  gc: ['gc --data d --dry-run --json'],
  scrub: ['scrub --data d --rate 20MB --json'],
  repair: ['repair --data d --open --force'],
  'iotedge manifest': [
    'iotedge manifest top --image i --parent p --name n --token t --password-file f --port 8000 --folder /srv --user 1:1 --edge 1.6',
    'iotedge manifest nested --mode ReadOnly --repository * a=b --child line=file --challenge Basic --catalog --no-desired',
  ],
  'iotedge check': ['iotedge check top.json --catalog'],
};

for (const [name, lines] of Object.entries(invocations)) {
  test(`terrace ${name}: its options go on working`, async () => {
    for (const line of lines) {
      const program = await programOf(line.split(' ')[0]);
      const path = name.split(' ');
      const command = path.reduce((owner, word) => innerOf(owner, word), program);
      let ran = 0;
      command.action(() => {
        ran += 1;
      });
      // `_` stands for a space within one parameter.
      const parameters = line.split(' ').map((word) => word.replaceAll('_', ' '));
      await program.parseAsync(parameters, { from: 'user' });
      assert.equal(ran, 1, line);
    }
  });
}

const innerOf = ({ commands }: Command, word: string): Command => {
  const inner = commands.find((one) => one.name() === word);
  assert.ok(inner, word);
  return inner;
};

test('each command is under a heading of the help, in the order of the headings', async () => {
  const program = await programOf();
  const headings = program.commands.map((command) => command.helpGroup());
  assert.ok(headings.every((heading) => /^[A-Z].*:$/.test(heading)));
  const starts = headings.filter((heading, index) => heading !== headings[index - 1]);
  assert.equal(new Set(starts).size, starts.length);
});

test('the help of each command fits 80 columns', async (t) => {
  const { COLUMNS } = process.env;
  process.env.COLUMNS = '80';
  t.after(() => {
    process.env.COLUMNS = COLUMNS;
  });
  const visit = async (command: Command, path: string[]) => {
    const { code, stdout } = await runCommandHere(...path, '--help');
    assert.equal(code, 0);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, `${path.join(' ')}: ${line}`);
    for (const inner of command.commands) await visit(inner, [...path, inner.name()]);
  };
  await visit(await programOf(), []);
});

test('only the named command is loaded, unless its name is unknown', async () => {
  assert.deepEqual(
    (await programOf('gc')).commands.map((command) => command.name()),
    ['gc'],
  );
  assert.ok((await programOf('toString')).commands.length > 10);
});
