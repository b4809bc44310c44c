import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { dataFolder } from '../../../cli/data/data-folder.ts';
import { livingPid } from '../../../cli/data/pid-file.ts';
import { findNatsServer } from '../../../cli/layer/nats-server.ts';
import { withStorage } from '../../../cli/layer/with-storage.ts';
import { TestBus } from '../../support/bus.ts';
import { testLayer } from '../../support/layer.ts';
import { runCommand, startCommand } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

/** Commands while a layer starts. */

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-unsettled-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('commands wait for a layer that starts, and print that they wait; terrace health does not wait', async () => {
  const data = join(folder, 'starting');
  await mkdir(join(data, 'metadata'), { recursive: true });
  // A nats-server that starts once `startFile` exists.
  const natsServer = join(folder, 'nats-server');
  const startFile = join(folder, 'may-start');
  const program = findNatsServer(process.env, () => {});
  await writeFile(
    natsServer,
    `#!/bin/sh\nwhile [ ! -e ${startFile} ]; do sleep 0.05; done\nexec ${program} "$@"\n`,
  );
  await chmod(natsServer, 0o755);
  const starting = testLayer({ data, compact: 'hosted', env: { TERRACE_NATS_SERVER: natsServer } });
  starting.catch(() => {});
  // Before the layer claims the folder, a command may claim it.
  await until(() => livingPid(dataFolder(data).pid) === process.pid);
  const commands = [['token', 'create', 'a', '--pull', '*'], ['status']].map((parameters) =>
    startCommand(...parameters, '--data', data),
  );
  const waiting = new RegExp(`^Waiting for process ${process.pid}, which starts or stops on ${data} …$`, 'm');
  for (const command of commands) await command.untilOutput(waiting);
  assert.equal((await runCommand('health', '--data', data)).code, 1);
  const withoutNode = join(import.meta.dirname, '../../../cli/health');
  assert.equal(spawnSync(withoutNode, ['--data', data]).status, 1);
  await writeFile(startFile, '');
  for (const command of commands) assert.equal(await command.exited(), 0, command.text);
  await using _layer = await starting;
});

test('a command waits for storage that serves long after its bus', async (t) => {
  await using bus = await TestBus.start();
  const data = join(folder, 'late');
  await mkdir(join(data, 'metadata'), { recursive: true });
  await mkdir(join(data, 'bus'));
  await writeFile(join(data, 'bus/url'), bus.url);
  await writeFile(join(data, 'bus/operator.password'), 'secret-of-operator');
  const storage = await bus.connect('storage');
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const command = withStorage(data, async () => {});
  command.catch(() => {});
  // Longer than a request waits by default. The fault shows that the request has arrived in the end.
  for (let ms = 0; ms < 20_000; ms += 1_000) {
    await storage.flush();
    t.mock.timers.tick(1_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  storage.serve(storageStatus, async () => {
    throw new Fault('denied', 'arrived');
  });
  await assert.rejects(command, /arrived/);
});
