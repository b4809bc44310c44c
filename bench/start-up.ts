import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/support/ports.ts';
import { Cloud } from '../test/support/registry/cloud.ts';
import { alternate, type Subject, timed } from './measure.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const terrace = join(import.meta.dirname, '../cli/terrace');

/** Time from the command to the first 200, in s. */
export const startUp: Subject = async (options) => {
  await using folder = await TemporaryFolder.create();
  const subject = 'start-up, from the command to the first 200';
  const existing = join(folder.path, 'existing');
  await start(existing);
  const values = await alternate(options, subject, [
    { name: 'terrace', run: () => start(existing) },
    { name: 'terrace, for the first time', run: (round) => start(join(folder.path, `new-${round}`)) },
    { name: 'docker-registry', run: startRegistry },
  ]);
  return [{ subject, unit: 's', better: 'less', values }];
};

async function start(data: string): Promise<number> {
  const host = `127.0.0.1:${await freePort()}`;
  const child = spawn(terrace, ['up', '--data', data, '--listen', host], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    return await timed(() => Promise.race([untilAnswered(host), ended.then(fail)]));
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function startRegistry(): Promise<number> {
  await using folder = await TemporaryFolder.create();
  await using registry = new Cloud(folder.path, { port: await freePort() });
  return await timed(async () => {
    await registry.start();
    await untilAnswered(registry.host);
  });
}

async function untilAnswered(host: string): Promise<void> {
  for (const end = Date.now() + 30_000; ; await sleep(5)) {
    const response = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (response?.status === 200) return;
    if (Date.now() > end) throw new Error(`nothing answers at ${host}`);
  }
}

const fail = () => {
  throw new Error('terrace up ended before it served');
};
