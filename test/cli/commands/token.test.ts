import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import { TestBus } from '../../support/bus.ts';
import { testLayer } from '../../support/layer.ts';
import { run, type } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

const full = process.env.TERRACE_FULL === '1';

/** Accounts as a person handles them, with no layer running and with one. */

/** Of what is refused, where each is tested beneath as well, one of each kind is typed here. */
const some = <T>(rows: T[], ...kinds: number[]): T[] => (full ? rows : kinds.map((kind) => rows[kind] as T));
const PASSWORD = /^[A-Za-z0-9]{43}\n$/;

async function place() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-token-'));
  const data = join(folder, 'data');
  return {
    data,
    terrace: (...words: string[]) => run(...words, '--data', data),
    /** What it prints as JSON. */
    asked: async <T>(...words: string[]): Promise<T> => {
      const { code, text, stdout } = await run(...words, '--json', '--data', data);
      assert.equal(code, 0, text);
      return JSON.parse(stdout) as T;
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('accounts at the command line', { concurrency: 2 }, () => {
  test('while no layer runs: a token from its making to its end, and nothing is left running', async () => {
    await using at = await place();
    const made = await at.terrace('token', 'create', 'line-1', '--pull', 'line/*', '--expires', 'P90D');
    assert.equal(made.code, 0, made.text);
    assert.match(made.stdout, PASSWORD);
    assert.match(made.text, /podman login \S+ -u line-1/);
    assert.match(made.text, /password1, until \d{4}-\d\d-\d\dT\d\d:\d\dZ, shown only once:/);

    const [token] = await at.asked<Token[]>('token', 'list');
    assert.ok(token);
    assert.deepEqual([token.name, token.enabled, token.scopeMap], ['line-1', true, 'line-1']);
    const left = (token.passwords[0]?.expires ?? 0) - Date.now();
    assert.ok(Math.abs(left - 90 * 86_400_000) < 60_000);
    const shown = await at.terrace('token', 'show', 'line-1');
    assert.match(shown.text, /line-1 +enabled +line-1 +password1 until/);
    assert.match(shown.text, /line\/\* +pull/);
    assert.ok(!shown.text.includes(made.stdout.trim()));

    const rotated = await at.terrace('token', 'rotate', 'line-1');
    assert.match(rotated.stdout, PASSWORD);
    assert.match(rotated.text, /password2 of token line-1 is new\.\npassword1 is unchanged: until/);
    assert.equal((await at.terrace('token', 'delete', 'line-1')).text, 'Token line-1 is deleted.\n');
    assert.deepEqual(await at.asked('token', 'list'), []);
    for (const name of await readdir(join(at.data, 'metadata'))) {
      assert.equal(statSync(join(at.data, 'metadata', name)).mode & 0o077, 0, `${name} is its owner's only`);
    }
    assert.equal(statSync(join(at.data, 'metadata')).mode & 0o077, 0);
    assert.deepEqual(await readdir(join(at.data, 'run')), []);
    assert.ok(!existsSync(join(at.data, 'bus/url')), 'the bus of a layer is not touched');
  });

  test('what took the port that the bus of this layer had is not taken for it', async () => {
    await using other = await TestBus.start();
    await using silent = await startSilent();
    for (const { url } of full ? [other, silent] : [silent]) {
      await using at = await place();
      await mkdir(join(at.data, 'bus'), { recursive: true });
      await writeFile(join(at.data, 'bus/url'), `${url}\n`);
      await writeFile(join(at.data, 'bus/operator.password'), 'of-this-layer\n');
      const made = await at.terrace('token', 'create', 'line-1', '--pull', 'line/*');
      assert.equal(made.code, 0, made.text);
      assert.match(made.stdout, PASSWORD);
    }
  });

  test('what is not valid is refused by its name and with the remedy, and nothing is made', async () => {
    await using at = await place();
    const rows: [string[], number, RegExp][] = [
      [['token', 'list'], 1, /^terrace: .* contains no data of a layer: name the data folder with --data/],
      [['token', 'create', 't'], 2, /^terrace: token t: its permissions are not clear: give --pull/],
      [['token', 'create', 't', '--pull', 'a', '--scope-map', 'm'], 2, /or --scope-map alone/],
      [['token', 'create', '-t', '--pull', 'a'], 2, /unknown option/],
      [['token', 'create', 'a b', '--pull', 'a'], 2, /^terrace: name "a b" is not valid: use letters/],
      [['token', 'create', 't', '--pull', 'a', '--expires', 'soon'], 2, /^terrace: --expires "soon" .* P90D/],
      [['token', 'rotate', 't', '--password', '3'], 2, /^terrace: --password "3" .* password1 or password2/],
      [['scope', 'create', 'm'], 2, /^terrace: scope map m: permissions are missing/],
      [['scrub', '--rate', 'slow'], 2, /^terrace: --rate "slow" is not valid: .* 20MB/],
    ];
    const each = some(rows, 0, 1, 3, 8).map(async ([words, code, pattern]) => {
      const found = await at.terrace(...words);
      assert.match(found.text, pattern);
      assert.equal(found.code, code, found.text);
    });
    await Promise.all(each);
    assert.ok(!existsSync(at.data), 'nothing was made');
  });

  test('several at once on a folder on which no layer runs', async () => {
    await using at = await place();
    const names = full ? ['a', 'b', 'c'] : ['a', 'b'];
    const made = await Promise.all(names.map((name) => at.terrace('token', 'create', name, '--pull', '*')));
    for (const { code, text } of made) assert.equal(code, 0, text);
    assert.deepEqual(
      (await at.asked<Token[]>('token', 'list')).map(({ name }) => name),
      names,
    );
  });

  test('killed in the middle, it leaves nothing that stops the next, and nothing that runs', async () => {
    await using at = await place();
    await at.terrace('token', 'create', 'a', '--pull', '*');
    const note = join(at.data, 'run/nats.pid');
    for (let caught = false; !caught; ) {
      const killed = type('token', 'list', '--data', at.data);
      const hasEnded = () => killed.child.exitCode !== null;
      // The very first moment: the note may be empty yet. One that ends before anybody looks is begun again.
      await until(
        () => existsSync(note) || hasEnded(),
        () => killed.text,
      );
      caught = !hasEnded();
      killed.child.kill('SIGKILL');
      await killed.ended();
    }
    const { code, text } = await at.terrace('token', 'list');
    assert.equal(code, 0, text);
    assert.match(text, /^a +enabled/m);
    assert.deepEqual(await readdir(join(at.data, 'run')), []);
    const left = (await readdir('/proc')).filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(at.data);
      } catch {
        return false;
      }
    });
    assert.deepEqual(left, []);
  });

  test('a running layer is asked, and told at once', async () => {
    await using layer = await testLayer({ compact: 'hosted' });
    const terrace = (...words: string[]) => run(...words, '--data', layer.data);
    const asked = async <T>(...words: string[]) =>
      JSON.parse((await terrace(...words, '--json')).stdout) as T;
    const action = 'repositories/line/*/content/read';
    const created = await asked<ScopeMap>(
      'scope',
      'create',
      'line',
      '--action',
      action,
      '--description',
      'd',
    );
    assert.deepEqual(created, { name: 'line', description: 'd', actions: [action], system: false });
    const made = await terrace('token', 'create', 't', '--scope-map', 'line');
    assert.equal(made.code, 0, made.text);
    assert.match(made.text, new RegExp(`podman login --tls-verify=false ${layer.host} -u t`));

    const first = await terrace('token', 'rotate', 't');
    assert.match(first.text, /password2 of token t is new\.\npassword1 is unchanged: never expires/);
    const second = await terrace('token', 'rotate', 't', '--password', 'password2');
    assert.match(second.text, /password2 of token t is new; the previous one no longer works/);
    assert.notEqual(second.stdout, first.stdout);
    assert.equal((await terrace('token', 'disable', 't')).text, 'Token t is disabled.\n');
    assert.equal((await asked<Token>('token', 'show', 't')).enabled, false);
    assert.equal((await terrace('token', 'enable', 't')).text, 'Token t is enabled.\n');

    const set = await asked<ScopeMap>('scope', 'set', 'line', '--push', 'a', '--pull', 'b');
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
    const each = some(rows, 0, 3, 8).map(async ([words, pattern]) => {
      const { code, text } = await terrace(...words);
      assert.match(text, pattern);
      assert.equal(code, 1);
    });
    await Promise.all(each);
    assert.equal((await terrace('token', 'set', 't', '--scope-map', '_repositories_pull')).code, 0);
    assert.equal((await terrace('scope', 'delete', 'line')).code, 0);
    const names = (await asked<ScopeMap[]>('scope', 'list')).map(({ name }) => name);
    assert.ok(names.length === 5 && names.every((name) => name.startsWith('_')));
    assert.match((await terrace('status')).text, /Clients log in: 1 token\b/);
  });
});

/** Takes connections and says nothing. */
async function startSilent(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
