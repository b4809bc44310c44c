import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { type ServiceName, serviceNames } from '#proto/contract/users.ts';
import { healthFolder, wellWord } from '#proto/process/health.ts';
import { connectOperator } from '../connection/connect.ts';
import { dataOption } from '../data/data-option.ts';
import { Refusal } from '../terminal/refusal.ts';

/** How long a service may take to answer, in ms. */
const ANSWER_MS = 3_000;

/**
 * As the program `cli/health` beside this file does it, which engines ask each few seconds and which needs no Node: that
 * one leaves to this what it can't tell.
 */
export function health(program: Command): void {
  program
    .command('health')
    .description('end with 0 where the services on this machine or in this container are well, else with 1')
    .addOption(dataOption())
    .addOption(new Option('--service <name>', 'this one only').choices(serviceNames))
    .action(async ({ data, service }: { data: string; service?: ServiceName }) => {
      const well = await wellServices(resolve(data)).catch(() => new Set<string>());
      // Where none is, it may be that there is no layer at all.
      if (well.size === 0)
        await (await connectOperator(data, 'terrace', { wait: false }))[Symbol.asyncDispose]();
      const unwell = (service ? [service] : serviceNames).filter((name) => !well.has(name));
      if (unwell.length > 0) throw new Refusal(`not well: ${unwell.join(', ')}`);
    });
}

/** Those of which at least one process here says that it is. */
async function wellServices(data: string): Promise<Set<string>> {
  const folder = healthFolder(data);
  const word = await wellWord(data);
  const well = new Set<string>();
  await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const port = Number(await readFile(join(folder, name), 'utf8'));
      if ((await answerOf(port).catch(() => '')) === word) well.add(name.replace(/-\d+$/, ''));
    }),
  );
  return well;
}

async function answerOf(port: number): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port });
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
  await once(socket, 'connect');
  return (await text(socket)).trim();
}
