import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isAlive } from '#proto/process/process-stat.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { freePort } from '../../../support/ports.ts';
import { runCommand, startCommand } from '../../../support/terrace.ts';
import { until } from '../../../support/until.ts';

/** `terrace up` as a person uses it. */

const full = process.env.TERRACE_FULL === '1';

async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-up-'));
  const data = join(folder, 'data');
  return {
    path: folder,
    data,
    listen: `127.0.0.1:${await freePort()}`,
    /** Pids of the processes of the layer by program. */
    pids: async (): Promise<Record<string, number>> => {
      const { text } = await runCommandHere('status', '--json', '--data', data);
      const { services } = JSON.parse(text) as { services: { service: string; pid: number }[] };
      const nats = Number.parseInt(await readFile(join(data, 'run/nats.pid'), 'utf8'), 10);
      return { nats, ...Object.fromEntries(services.map(({ service, pid }) => [service, pid])) };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const aliveOf = (pids: Iterable<number>): number[] => [...pids].filter(isAlive);

describe('terrace up', { concurrency: 2 }, () => {
  test('it serves, prints the next commands, and ends all processes on Ctrl-C', async () => {
    await using folder = await temporaryFolder();
    await using up = startCommand('up', '--data', folder.data, '--listen', folder.listen);
    const text = await up.untilOutput(/Ctrl-C stops it/);
    assert.match(text, new RegExp(`Terrace serves layer "layer" at http://${folder.listen} \\(ReadWrite\\)`));
    for (const word of ['push', 'pull', `npx terrace status --data ${folder.data}`])
      assert.ok(text.includes(word), word);
    assert.equal((await fetch(`http://${folder.listen}/v2/`)).status, 200);

    const pids = await folder.pids();
    assert.deepEqual(Object.keys(pids).sort(), ['gateway', 'nats', 'storage', 'syncer', 'twin-bridge']);
    for (const file of [
      'bus/nats.conf',
      'bus/storage.password',
      'bus/operator.password',
      'log/terrace.log',
    ]) {
      assert.equal(
        (await stat(join(folder.data, file))).mode & 0o077,
        0,
        `only the owner has access to ${file}`,
      );
    }

    const status = await runCommandHere('status', '--data', folder.data);
    assert.equal(status.code, 0);
    for (const word of ['No parent.', 'Holds 0 repositories', 'gateway', 'syncer'])
      assert.ok(status.text.includes(word), status.text);

    const syncing = await runCommand('sync', '--data', folder.data);
    assert.equal(syncing.code, 1);
    assert.match(syncing.text, /^terrace: .*parent/, 'terrace sync names what is missing');

    const second = await runCommand('up', '--data', folder.data, '--listen', `127.0.0.1:${await freePort()}`);
    assert.equal(second.code, 1);
    assert.match(
      second.text,
      /a Terrace \(process \d+\) runs on .* already: stop it, or name another folder/,
    );

    process.kill(-(up.child.pid as number), 'SIGINT');
    assert.equal(await up.exited(), 0);
    assert.deepEqual(aliveOf(Object.values(pids)), []);
    assert.doesNotMatch(up.text, /killed|error/i);

    const stopped = await runCommandHere('status', '--data', folder.data);
    assert.equal(stopped.code, 69);
    assert.match(stopped.text, /^terrace: no Terrace runs on .*: start it with "terrace up --data /);
  });

  test('a signal to the supervisor alone ends all processes, even before the layer serves', async () => {
    await using folder = await temporaryFolder();
    await using up = startCommand('up', '--data', folder.data, '--listen', folder.listen, '--log-json');
    await up.untilOutput(/"service":"storage"/);
    up.child.kill('SIGTERM');
    assert.equal(await up.exited(), 0);
    for (const line of up.text.trim().split('\n')) JSON.parse(line);
  });

  test('with --log-json, the error that ends the layer is a line of the log', async () => {
    await using folder = await temporaryFolder();
    const address = ['--data', folder.data, '--listen', '0.0.0.0:5000'];
    const { code, text } = await runCommand('up', ...address, '--log-json');
    assert.equal(code, 2);
    const { level, msg } = JSON.parse(text) as { level: number; msg: string };
    assert.equal(level, 60);
    assert.match(msg, /this layer has no accounts: create one with "terrace token create/);
  });

  test('services end with a killed supervisor, and the next one starts with the same bus', async () => {
    await using folder = await temporaryFolder();
    const parameters = ['up', '--compact', '--data', folder.data, '--listen', folder.listen];
    await using first = startCommand(...parameters);
    await first.untilOutput(/Ctrl-C/);
    const { nats, ...services } = await folder.pids();
    const url = await readFile(join(folder.data, 'bus/url'), 'utf8');
    const password = await readFile(join(folder.data, 'bus/storage.password'), 'utf8');
    first.child.kill('SIGKILL');
    assert.equal(await first.exited(), 'SIGKILL');
    await using second = startCommand(...parameters);
    await until(() => aliveOf(Object.values(services)).length === 0);
    await second.untilOutput(/Ctrl-C/);
    assert.deepEqual(aliveOf([nats as number]), []);
    assert.equal(await readFile(join(folder.data, 'bus/url'), 'utf8'), url);
    assert.equal(await readFile(join(folder.data, 'bus/storage.password'), 'utf8'), password);
  });

  test('a killed service is restarted, and the restart is printed', async () => {
    await using folder = await temporaryFolder();
    await using up = startCommand('up', '--data', folder.data, '--listen', folder.listen);
    await up.untilOutput(/Ctrl-C/);
    const { gateway } = await folder.pids();
    process.kill(gateway as number, 'SIGKILL');
    await up.untilOutput(/gateway: ended by SIGKILL; restarting in [\d.]+ s/);
    const serves = async () => (await fetch(`http://${folder.listen}/v2/`)).status === 200;
    await until(() => serves().catch(() => false), 'the gateway is back');
  });

  test('a configuration file is read again while the layer runs, and an invalid one changes nothing', async () => {
    await using folder = await temporaryFolder();
    const config = join(folder.path, 'terrace.yaml');
    await writeFile(config, `listen: ${folder.listen}\nname: from-file\n`);
    await using up = startCommand(
      'up',
      '--compact',
      '--data',
      folder.data,
      '--config',
      config,
      '--schedule',
      '1 1 1 1 *',
    );
    await up.untilOutput(/serves layer "from-file" at .*ReadWrite/);
    const statusBecomes = async (matches: (text: string) => boolean) => {
      let text = '';
      const poll = async () => {
        text = (await runCommandHere('status', '--data', folder.data)).text;
        return matches(text);
      };
      await until(poll, () => text);
    };
    await writeFile(config, `listen: ${folder.listen}\nmode: ReadOnly\n`);
    await statusBecomes((text) => text.includes('(ReadOnly)'));
    await writeFile(config, 'mode: sometimes\n');
    // The lines are wrapped, depending on the length of the folder's name.
    await statusBecomes((text) =>
      /error mode "sometimes" is not valid.* Remedy: correct .*terrace\.yaml; the previous/.test(
        text.replace(/\s+/g, ' '),
      ),
    );
    await statusBecomes((text) => text.includes('(ReadOnly)'));
    await up.untilOutput(
      /twin-bridge: the configuration document is not valid; it is not applied; mode "sometimes"/,
    );
  });

  test('a parameter that is not valid is refused with 2, and nothing is started', async () => {
    await using folder = await temporaryFolder();
    const config = join(folder.path, 'terrace.yaml');
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
      [['--no-such-option'], /is not an option of "terrace up"/],
    ];
    for (const [parameters, pattern] of full ? rows : rows.slice(-3)) {
      const { code, text } = await runCommand('up', '--data', folder.data, ...parameters);
      assert.equal(code, 2, text);
      assert.match(text, pattern);
    }
    await assert.rejects(stat(folder.data), { code: 'ENOENT' });
  });

  test('an address that another program listens on is refused, and nothing is left running', async () => {
    await using folder = await temporaryFolder();
    const [host, port] = folder.listen.split(':');
    const other = createServer().listen(Number(port), host);
    await new Promise((resolve) => other.once('listening', resolve));
    const { code, text } = await runCommand('up', '--data', folder.data, '--listen', folder.listen);
    other.close();
    assert.equal(code, 1);
    assert.match(text, /is in use by another program: choose another address with --listen/);
    await assert.rejects(stat(join(folder.data, 'run/terrace.pid')), { code: 'ENOENT' });
  });
});
