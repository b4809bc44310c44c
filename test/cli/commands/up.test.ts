import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isAlive } from '#proto/process/process-stat.ts';
import { freePort } from '../../support/ports.ts';
import { run, type } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

/** `terrace up` as a person meets it. */

const full = process.env.TERRACE_FULL === '1';

async function place() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-up-'));
  const data = join(folder, 'data');
  return {
    folder,
    data,
    listen: `127.0.0.1:${await freePort()}`,
    /** By program. */
    pids: async (): Promise<Record<string, number>> => {
      const { text } = await run('status', '--json', '--data', data);
      const { services } = JSON.parse(text) as { services: { service: string; pid: number }[] };
      const nats = Number.parseInt(await readFile(join(data, 'run/nats.pid'), 'utf8'), 10);
      return { nats, ...Object.fromEntries(services.map(({ service, pid }) => [service, pid])) };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const left = (pids: Iterable<number>): number[] => [...pids].filter(isAlive);

describe('terrace up', { concurrency: 2 }, () => {
  test('it serves, says what to type next, and ends all of it at Ctrl-C', async () => {
    await using at = await place();
    await using up = type('up', '--data', at.data, '--listen', at.listen);
    const text = await up.says(/Ctrl-C stops it/);
    assert.match(text, new RegExp(`Terrace serves layer "layer" at http://${at.listen} \\(ReadWrite\\)`));
    for (const word of ['push', 'pull', `npx terrace status --data ${at.data}`])
      assert.ok(text.includes(word), word);
    assert.equal((await fetch(`http://${at.listen}/v2/`)).status, 200);

    const pids = await at.pids();
    assert.deepEqual(Object.keys(pids).sort(), ['gateway', 'nats', 'storage', 'syncer', 'twin-bridge']);
    for (const file of [
      'bus/nats.conf',
      'bus/storage.password',
      'bus/operator.password',
      'log/terrace.log',
    ]) {
      assert.equal((await stat(join(at.data, file))).mode & 0o077, 0, `${file} is for its owner only`);
    }

    const status = await run('status', '--data', at.data);
    assert.equal(status.code, 0);
    for (const word of ['No parent.', 'Holds 0 repositories', 'gateway', 'syncer'])
      assert.ok(status.text.includes(word), status.text);

    const syncing = await run('sync', '--data', at.data);
    assert.equal(syncing.code, 1);
    assert.match(syncing.text, /^terrace: .*parent/, 'terrace sync says what is missing');

    const second = await run('up', '--data', at.data, '--listen', `127.0.0.1:${await freePort()}`);
    assert.equal(second.code, 1);
    assert.match(
      second.text,
      /a Terrace \(process \d+\) runs on .* already: stop it, or name another folder/,
    );

    process.kill(-(up.child.pid as number), 'SIGINT');
    assert.equal(await up.ended(), 0);
    assert.deepEqual(left(Object.values(pids)), []);
    assert.doesNotMatch(up.text, /killed|error/i);

    const stopped = await run('status', '--data', at.data);
    assert.equal(stopped.code, 1);
    assert.match(stopped.text, /^terrace: no Terrace runs on .*: start it with "terrace up --data /);
  });

  test('a signal to the supervisor alone ends all of it, even before it serves', async () => {
    await using at = await place();
    await using up = type('up', '--data', at.data, '--listen', at.listen, '--log-json');
    await up.says(/"service":"storage"/);
    up.child.kill('SIGTERM');
    assert.equal(await up.ended(), 0);
    for (const line of up.text.trim().split('\n')) JSON.parse(line);
  });

  test('a killed supervisor takes the services with it, and the next one starts on what is left', async () => {
    await using at = await place();
    const words = ['up', '--compact', '--data', at.data, '--listen', at.listen];
    await using first = type(...words);
    await first.says(/Ctrl-C/);
    const { nats, ...services } = await at.pids();
    const url = await readFile(join(at.data, 'bus/url'), 'utf8');
    const password = await readFile(join(at.data, 'bus/storage.password'), 'utf8');
    first.child.kill('SIGKILL');
    assert.equal(await first.ended(), 'SIGKILL');
    await using second = type(...words);
    await until(() => left(Object.values(services)).length === 0);
    await second.says(/Ctrl-C/);
    assert.deepEqual(left([nats as number]), []);
    assert.equal(await readFile(join(at.data, 'bus/url'), 'utf8'), url);
    assert.equal(await readFile(join(at.data, 'bus/storage.password'), 'utf8'), password);
  });

  test('a service that dies comes back, and a person is told', async () => {
    await using at = await place();
    await using up = type('up', '--data', at.data, '--listen', at.listen);
    await up.says(/Ctrl-C/);
    const { gateway } = await at.pids();
    process.kill(gateway as number, 'SIGKILL');
    await up.says(/gateway: ended by SIGKILL; restarting in \d+ ms/);
    const serves = async () => (await fetch(`http://${at.listen}/v2/`)).status === 200;
    await until(() => serves().catch(() => false), 'the gateway is back');
  });

  test('a configuration file is read again while the layer runs, and a bad one changes nothing', async () => {
    await using at = await place();
    const config = join(at.folder, 'terrace.yaml');
    await writeFile(config, `listen: ${at.listen}\nname: from-file\n`);
    await using up = type(
      'up',
      '--compact',
      '--data',
      at.data,
      '--config',
      config,
      '--schedule',
      '1 1 1 1 *',
    );
    await up.says(/serves layer "from-file" at .*ReadWrite/);
    const said = async (holds: (text: string) => boolean) => {
      let text = '';
      const asked = async () => {
        text = (await run('status', '--data', at.data)).text;
        return holds(text);
      };
      await until(asked, () => text);
    };
    await writeFile(config, `listen: ${at.listen}\nmode: ReadOnly\n`);
    await said((text) => text.includes('(ReadOnly)'));
    await writeFile(config, 'mode: sometimes\n');
    await said((text) => /terrace\.yaml\) is not valid.*\n {2}mode "sometimes" is not valid/.test(text));
    await said((text) => text.includes('(ReadOnly)'));
    await up.says(
      /twin-bridge: the configuration document is not valid; it is not applied; mode "sometimes"/,
    );
  });

  test('what is not valid is refused with 2, and nothing is started', async () => {
    await using at = await place();
    const config = join(at.folder, 'terrace.yaml');
    await writeFile(config, 'colour: red\n');
    const rows: [string[], RegExp][] = [
      [['--listen', '0.0.0.0:5000'], /--insecure-listen/],
      [['--schedule', 'now'], /^terrace: schedule "now" is not valid/],
      [
        ['--parent', 'registry.example'],
        /^terrace: parent\.url "registry\.example" is not valid: write https:/,
      ],
      [
        ['--parent', 'http://a', '--parent-username', 'u', '--parent-password-file', '/none'],
        /passwordFile .*can't be read/,
      ],
      [['--config', '/none.yaml'], /^terrace: --config: \/none\.yaml can't be read/],
      [['--config', config], /^terrace: colour is not a field/],
      [['--listen', '5000'], /^terrace: listen "5000" is not valid: write host:port/],
      [['--no-such-option'], /unknown option/],
    ];
    for (const [parameters, pattern] of full ? rows : rows.slice(-3)) {
      const { code, text } = await run('up', '--data', at.data, ...parameters);
      assert.equal(code, 2, text);
      assert.match(text, pattern);
    }
    await assert.rejects(stat(at.data), { code: 'ENOENT' });
  });

  test('an address that another program listens on is refused, and nothing is left running', async () => {
    await using at = await place();
    const [host, port] = at.listen.split(':');
    const other = createServer().listen(Number(port), host);
    await new Promise((resolve) => other.once('listening', resolve));
    const { code, text } = await run('up', '--data', at.data, '--listen', at.listen);
    other.close();
    assert.equal(code, 1);
    assert.match(text, /is in use by another program: choose another address with --listen/);
    await assert.rejects(stat(join(at.data, 'run/terrace.pid')), { code: 'ENOENT' });
  });
});
