import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { version } from '#proto/process/version.ts';
import { describeVersions, differencesOf, type Versions } from '../../../../cli/commands/run/version.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { startCommandWith } from '../../../support/terrace.ts';

const versionsOf = async (data: string): Promise<Versions> =>
  JSON.parse((await runCommandHere('version', '--data', data, '--json')).stdout);

test('terrace --version and -V print the number alone, for scripts', async () => {
  for (const option of ['--version', '-V']) {
    assert.deepEqual(await runCommandHere(option), {
      code: 0,
      text: `${version()}\n`,
      stdout: `${version()}\n`,
    });
  }
});

test('terrace version names its programs, and the versions of a running layer', async (t) => {
  await using layer = await testLayer({ compact: 'hosted' });
  const running = await versionsOf(layer.data);
  assert.equal(running.terrace, version());
  assert.equal(running.node.version, process.versions.node);
  assert.equal(running.metadata.max, 5);
  assert.deepEqual(
    [...new Set(running.layer?.services.map((one) => one.version))],
    [version()],
    'all services report their version',
  );
  assert.ok('version' in running.natsServer && running.natsServer.version === running.layer?.natsServer);
  assert.deepEqual(running.differences, []);
  const { stdout } = await runCommandHere('version', '--data', layer.data);
  assert.match(
    stdout,
    new RegExp(`^Layer +runs on ${layer.data}: Terrace ${version()}, nats-server 2\\.`, 'm'),
  );

  const none = await mkdtemp(join(tmpdir(), 'terrace-none-'));
  t.after(() => rm(none, { recursive: true }));
  assert.equal((await versionsOf(none)).layer, undefined);
  assert.match((await runCommandHere('version', '--data', none)).stdout, /^Layer +none runs on /m);
});

test('a nats-server that is missing or does not answer leaves the other versions', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-nats-'));
  t.after(() => rm(folder, { recursive: true }));
  const silent = join(folder, 'nats-server');
  await writeFile(silent, '#!/bin/sh\nexit 3\n');
  await chmod(silent, 0o755);
  for (const [path, problem] of [
    [join(folder, 'none'), /TERRACE_NATS_SERVER: .* is not executable: set it to the path/],
    [silent, /Command failed/],
  ] as const) {
    await using command = startCommandWith(
      { TERRACE_NATS_SERVER: path },
      'version',
      '--json',
      '--data',
      folder,
    );
    assert.equal(await command.exited(), 0);
    const found = JSON.parse(command.stdout) as Versions;
    assert.equal(found.terrace, version());
    assert.match((found.natsServer as { problem: string }).problem, problem);
  }
});

test('a running layer of another version is named, with the remedy', () => {
  const natsServer = { path: '/usr/sbin/nats-server', version: '2.11.0' };
  const layer = {
    services: [
      { service: 'gateway', host: 'a', version: '1.1.0' },
      { service: 'storage', host: 'a', version: '1.2.0' },
    ],
    natsServer: '2.10.0',
  };
  const found: Versions = {
    terrace: '1.2.0',
    node: { path: '/usr/bin/node', version: '24.0.0' },
    natsServer,
    metadata: { min: 1, max: 5 },
    data: '/data',
    layer,
    differences: differencesOf('1.2.0', natsServer, layer),
  };
  assert.equal(
    describeVersions(found, 80),
    [
      'Terrace      1.2.0',
      'Node         24.0.0 (/usr/bin/node)',
      'nats-server  2.11.0 (/usr/sbin/nats-server)',
      'Metadata     version 5; reads versions 1 to 5',
      'Layer        runs on /data: Terrace 1.1.0, Terrace 1.2.0, nats-server 2.10.0',
      'Gateway of the layer runs version 1.1.0, this command is 1.2.0: restart the',
      '    layer, or use the command of its version.',
      'The layer runs nats-server 2.10.0, installed is 2.11.0: it is used from the next',
      '    start on.',
    ].join('\n'),
  );
});
