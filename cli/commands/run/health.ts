import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { type ServiceName, serviceNames } from '#proto/contract/users.ts';
import { healthFolder, healthyAnswer } from '#proto/process/health.ts';
import { connectOperator } from '../../connection/connect.ts';
import { dataOption } from '../../data/data-option.ts';
import { refusalOf } from '../../terminal/failure.ts';
import { Refusal } from '../../terminal/refusal.ts';

/** Max time for a service to answer, in ms. */
const ANSWER_MS = 3_000;

/**
 * The same check as the script `cli/health`, which container engines poll every few seconds and which needs no Node.
 * That script leaves to this command what it can't decide.
 */
export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('exit with 0 if the services on this machine or in this container are healthy, else with 1')
    .addOption(dataOption())
    .addOption(new Option('--service <name>', 'check only this service').choices(serviceNames))
    .action(async ({ data, service }: { data: string; service?: ServiceName }) => {
      const healthy = await healthyServices(resolve(data)).catch(() => new Set<string>());
      // If none is healthy, no layer may run at all: connecting then throws a Refusal.
      if (healthy.size === 0) await mustRun(data);
      const others = (service ? [service] : serviceNames).filter((name) => !healthy.has(name));
      if (others.length > 0) throw new Refusal(`not healthy: ${others.join(', ')}`);
    });
}

/** @throws Refusal with exit code 1: engines know no other one */
async function mustRun(data: string): Promise<void> {
  try {
    await (await connectOperator(data, 'terrace', { wait: false }))[Symbol.asyncDispose]();
  } catch (error) {
    const { message, code } = refusalOf(error);
    throw new Refusal(message, 1, code);
  }
}

/** The services of which at least one process reports on this machine that it is healthy. */
async function healthyServices(data: string): Promise<Set<string>> {
  const folder = healthFolder(data);
  const expected = await healthyAnswer(data);
  const healthy = new Set<string>();
  await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const port = Number(await readFile(join(folder, name), 'utf8'));
      if ((await answerOf(port).catch(() => '')) === expected) healthy.add(name.replace(/-\d+$/, ''));
    }),
  );
  return healthy;
}

async function answerOf(port: number): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port });
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
  await once(socket, 'connect');
  return (await text(socket)).trim();
}
