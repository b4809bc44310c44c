import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { serviceNames } from '#proto/contract/users.ts';
import { healthFolder, healthyAnswer } from '#proto/process/health.ts';
import { singleLine } from '../terminal/terminal.ts';

/** Max time for a service to answer, in ms. */
const ANSWER_MS = 3_000;
/** Max length of the answer of a service; that of another program on the port of an old file may be of any length. */
const MAX_ANSWER = 300;

/** Why a service is not healthy, by its name; '' if it does not answer. Healthy services are absent. */
export type Unhealthy = Map<string, string>;

/** The services of which no process reports on this machine, or in this container, that it is healthy. */
export async function unhealthyServices(data: string): Promise<Unhealthy> {
  const unhealthy: Unhealthy = new Map(serviceNames.map((name) => [name, '']));
  const folder = healthFolder(data);
  try {
    const expected = await healthyAnswer(data);
    const healthy = new Set<string>();
    await Promise.all(
      (await readdir(folder)).map(async (file) => {
        const service = file.replace(/-\d+$/, '');
        const answer = await answerOf(join(folder, file)).catch(() => '');
        if (answer === expected) healthy.add(service);
        else if (unhealthy.has(service) && !/^(well .*)?$/.test(answer)) unhealthy.set(service, answer);
      }),
    );
    for (const service of healthy) unhealthy.delete(service);
  } catch {
    // Without the folder, no service runs.
  }
  return unhealthy;
}

/** `gateway (not serving yet), syncer`. */
export const unhealthyText = (unhealthy: Unhealthy): string =>
  [...unhealthy].map(([service, reason]) => (reason ? `${service} (${reason})` : service)).join(', ');

async function answerOf(file: string): Promise<string> {
  const port = Number(await readFile(file, 'utf8'));
  const socket = createConnection({ host: '127.0.0.1', port });
  try {
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
    await once(socket, 'connect');
    let text = '';
    for await (const part of socket.setEncoding('utf8')) {
      text += part;
      if (text.length > MAX_ANSWER) break;
    }
    return singleLine(text.trim().slice(0, MAX_ANSWER));
  } finally {
    socket.destroy();
  }
}
