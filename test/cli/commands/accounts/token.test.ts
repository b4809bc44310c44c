import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import { TestBus } from '../../../support/bus.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { runCommand, startCommand } from '../../../support/terrace.ts';
import { until } from '../../../support/until.ts';

const full = process.env.TERRACE_FULL === '1';

/** Accounts at the command line, with and without a running layer. */

/** Some rows, or all of them in the full run: other tests cover each refusal. */
const some = <T>(rows: T[], ...kinds: number[]): T[] => (full ? rows : kinds.map((kind) => rows[kind] as T));
const PASSWORD = /^[A-Za-z0-9]{43}\n$/;

async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-token-'));
  const data = join(folder, 'data');
  return {
    data,
    terrace: (...parameters: string[]) => runCommand(...parameters, '--data', data),
    /** The JSON that a command prints. */
    json: async <T>(...parameters: string[]): Promise<T> => {
      const { code, text, stdout } = await runCommand(...parameters, '--json', '--data', data);
      assert.equal(code, 0, text);
      return JSON.parse(stdout) as T;
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('accounts at the command line', { concurrency: 2 }, () => {
  test('without a running layer, a token is created, rotated and deleted, and no process is left', async () => {
    await using folder = await temporaryFolder();
    const created = await folder.terrace(
      'token',
      'create',
      'line-1',
      '--pull',
      'line/*',
      '--expires',
      'P90D',
    );
    assert.equal(created.code, 0, created.text);
    assert.match(created.stdout, PASSWORD);
    assert.match(created.text, /podman login \S+ -u line-1/);
    assert.match(created.text, /password1, until \d{4}-\d\d-\d\dT\d\d:\d\dZ, shown only once:/);

    const [token] = await folder.json<Token[]>('token', 'list');
    assert.ok(token);
    assert.deepEqual([token.name, token.enabled, token.scopeMap], ['line-1', true, 'line-1']);
    const remainingMs = (token.passwords[0]?.expires ?? 0) - Date.now();
    assert.ok(Math.abs(remainingMs - 90 * 86_400_000) < 60_000);
    const shown = await folder.terrace('token', 'show', 'line-1');
    assert.match(shown.text, /line-1 +enabled +line-1 +password1 until/);
    assert.match(shown.text, /line\/\* +pull/);
    assert.ok(!shown.text.includes(created.stdout.trim()));

    const rotated = await folder.terrace('token', 'rotate', 'line-1');
    assert.match(rotated.stdout, PASSWORD);
    assert.match(rotated.text, /password2 of token line-1 is new\.\npassword1 is unchanged: until/);
    assert.equal((await folder.terrace('token', 'delete', 'line-1')).text, 'Token line-1 is deleted.\n');
    assert.deepEqual(await folder.json('token', 'list'), []);
    for (const name of await readdir(join(folder.data, 'metadata'))) {
      assert.equal(
        statSync(join(folder.data, 'metadata', name)).mode & 0o077,
        0,
        `only the owner has access to ${name}`,
      );
    }
    assert.equal(statSync(join(folder.data, 'metadata')).mode & 0o077, 0);
    assert.deepEqual(await readdir(join(folder.data, 'run')), []);
    assert.ok(!existsSync(join(folder.data, 'bus/url')), 'the URL of the bus is not written');
  });

  test('another server on the port that the bus had is not taken for the bus', async () => {
    await using other = await TestBus.start();
    await using silent = await startSilentServer();
    for (const { url } of full ? [other, silent] : [silent]) {
      await using folder = await temporaryFolder();
      await mkdir(join(folder.data, 'bus'), { recursive: true });
      await writeFile(join(folder.data, 'bus/url'), `${url}\n`);
      await writeFile(join(folder.data, 'bus/operator.password'), 'of-this-layer\n');
      const created = await folder.terrace('token', 'create', 'line-1', '--pull', 'line/*');
      assert.equal(created.code, 0, created.text);
      assert.match(created.stdout, PASSWORD);
    }
  });

  test('a parameter that is not valid is refused with its name and the remedy, and nothing is created', async () => {
    await using folder = await temporaryFolder();
    const rows: [string[], number, RegExp][] = [
      [['token', 'list'], 1, /^terrace: .* contains no data of a layer: name the data folder with --data/],
      [['token', 'create', 't'], 2, /^terrace: token t: its permissions are not clear: give --pull/],
      [['token', 'create', 't', '--operate', 'all'], 2, /--operate/],
      [['token', 'create', 't', '--pull', 'a', '--scope-map', 'm'], 2, /or --scope-map alone/],
      [['token', 'create', '-t', '--pull', 'a'], 2, /is not an option of "terrace token create"/],
      [['token', 'create', 'a b', '--pull', 'a'], 2, /^terrace: name "a b" is not valid: use letters/],
      [['token', 'create', 't', '--pull', 'a', '--expires', 'soon'], 2, /^terrace: --expires "soon" .* P90D/],
      [['token', 'rotate', 't', '--password', '3'], 2, /^terrace: --password "3" .* password1 or password2/],
      [['scope', 'create', 'm'], 2, /^terrace: scope map m: permissions are missing/],
      [['scrub', '--rate', 'slow'], 2, /^terrace: --rate "slow" is not valid: .* 20MB/],
    ];
    const checks = some(rows, 0, 1, 3, 8).map(async ([parameters, code, pattern]) => {
      const found = await runCommandHere(...parameters, '--data', folder.data);
      assert.match(found.text, pattern);
      assert.equal(found.code, code, found.text);
    });
    await Promise.all(checks);
    assert.ok(!existsSync(folder.data), 'nothing was created');
  });

  test('several commands at once work on a folder without a running layer', async () => {
    await using folder = await temporaryFolder();
    const names = full ? ['a', 'b', 'c'] : ['a', 'b'];
    const created = await Promise.all(
      names.map((name) => folder.terrace('token', 'create', name, '--pull', '*')),
    );
    for (const { code, text } of created) assert.equal(code, 0, text);
    assert.deepEqual(
      (await folder.json<Token[]>('token', 'list')).map(({ name }) => name),
      names,
    );
  });

  test('a killed command neither blocks the next one nor leaves a process', async () => {
    await using folder = await temporaryFolder();
    await folder.terrace('token', 'create', 'a', '--pull', '*');
    const pidFile = join(folder.data, 'run/nats.pid');
    for (let isKilled = false; !isKilled; ) {
      const command = startCommand('token', 'list', '--data', folder.data);
      const hasEnded = () => command.child.exitCode !== null;
      // At this moment the pid file may still be empty. If the command has ended before, another one is started.
      await until(
        () => existsSync(pidFile) || hasEnded(),
        () => command.text,
      );
      isKilled = !hasEnded();
      command.child.kill('SIGKILL');
      await command.exited();
    }
    const { code, text } = await folder.terrace('token', 'list');
    assert.equal(code, 0, text);
    assert.match(text, /^a +enabled/m);
    assert.deepEqual(await readdir(join(folder.data, 'run')), []);
    const processes = (await readdir('/proc')).filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(folder.data);
      } catch {
        return false;
      }
    });
    assert.deepEqual(processes, []);
  });

  test('commands use a running layer, and their changes apply at once', async () => {
    await using layer = await testLayer({ compact: 'hosted' });
    const terrace = (...parameters: string[]) => runCommandHere(...parameters, '--data', layer.data);
    const json = async <T>(...parameters: string[]) =>
      JSON.parse((await terrace(...parameters, '--json')).stdout) as T;
    const action = 'repositories/line/*/content/read';
    const scope = await json<ScopeMap>('scope', 'create', 'line', '--action', action, '--description', 'd');
    assert.deepEqual(scope, { name: 'line', description: 'd', actions: [action], system: false });
    const created = await terrace('token', 'create', 't', '--scope-map', 'line');
    assert.equal(created.code, 0, created.text);
    assert.match(created.text, new RegExp(`podman login --tls-verify=false ${layer.host} -u t`));

    const operators = [
      ['viewer', '--operate', 'read'],
      ['operator', '--operate'],
    ] as const;
    for (const operator of operators) {
      assert.equal((await terrace('token', 'create', ...operator)).code, 0);
    }
    const may = async (name: string) => (await terrace('token', 'show', name)).text.split('MAY')[1];
    assert.match((await may('viewer')) ?? '', /operate\/read(?!\s*operate)/);
    assert.match((await may('operator')) ?? '', /operate\/read\s+operate\/write/);
    for (const [name] of operators) await terrace('token', 'delete', name);

    const first = await terrace('token', 'rotate', 't');
    assert.match(first.text, /password2 of token t is new\.\npassword1 is unchanged: never expires/);
    const second = await terrace('token', 'rotate', 't', '--password', 'password2');
    assert.match(second.text, /password2 of token t is new; the previous one no longer works/);
    assert.notEqual(second.stdout, first.stdout);
    assert.equal((await terrace('token', 'disable', 't')).text, 'Token t is disabled.\n');
    assert.equal((await json<Token>('token', 'show', 't')).enabled, false);
    assert.equal((await terrace('token', 'enable', 't')).text, 'Token t is enabled.\n');

    const set = await json<ScopeMap>('scope', 'set', 'line', '--push', 'a', '--pull', 'b');
    assert.equal(set.actions.length, 6);
    assert.match((await terrace('token', 'show', 't')).text, /a +push\nb +pull/);
    const rows: [string[], RegExp][] = [
      [['token', 'create', 't', '--pull', '*'], /^terrace: token t already exists: rotate its password/],
      [
        ['token', 'create', 'u', '--pull', 'A'],
        /^terrace: action "repositories\/A\/content\/read" is not valid/,
      ],
      [['token', 'create', 'u', '--scope-map', 'm'], /^terrace: scope map m does not exist: create it first/],
      [['token', 'show', 'u'], /^terrace: token u does not exist: list the tokens/],
      [['token', 'delete', 'u'], /^terrace: token u does not exist/],
      [
        ['scope', 'set', 'm', '--pull', '*'],
        /^terrace: scope map m does not exist: .* "terrace scope create m"/,
      ],
      [['scope', 'create', 'line', '--pull', '*'], /^terrace: scope map line already exists: change it with/],
      [['scope', 'create', '_m', '--pull', '*'], /^terrace: scope map _m can't be changed: choose a name/],
      [
        ['scope', 'delete', 'line'],
        /^terrace: scope map line is used by token t: delete the token, or assign it another scope map/,
      ],
    ];
    const checks = some(rows, 0, 3, 8).map(async ([parameters, pattern]) => {
      const { code, text } = await terrace(...parameters);
      assert.match(text, pattern);
      assert.equal(code, 1);
    });
    await Promise.all(checks);
    assert.equal((await terrace('token', 'set', 't', '--scope-map', '_repositories_pull')).code, 0);
    assert.equal((await terrace('scope', 'delete', 'line')).code, 0);
    const names = (await json<ScopeMap[]>('scope', 'list')).map(({ name }) => name);
    assert.ok(names.length === 7 && names.every((name) => name.startsWith('_')));
    assert.match((await terrace('status')).text, /Clients log in: 1 token\b/);
  });
});

/** A server that accepts connections and sends nothing. */
async function startSilentServer(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
