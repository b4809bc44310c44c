import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { resolve } from 'node:path';
import { Bus, type Log } from '#proto/bus/bus.ts';
import { type DataFolder, dataFolder, isCopy } from '../data/data-folder.ts';
import { personAtWork } from '../data/person.ts';
import { livingPid } from '../data/pid-file.ts';
import { type Address, isLoopback } from '../data/ports.ts';
import { whileHeld } from '../data/unsettled.ts';
import { Refusal } from '../terminal/refusal.ts';

/** How long a nats-server may take to greet, in ms. */
const GREETING_MS = 3_000;

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * The operator's connection to the layer that runs on this data folder.
 * @param wait for a layer that starts
 * @throws Refusal where none runs
 */
export async function connectOperator(data: string, name = 'terrace', { wait = true } = {}): Promise<Bus> {
  const folder = dataFolder(resolve(data));
  const { bus } = await whileHeld(folder.root, async () => {
    const found = await findLayer(folder, name);
    const held = found || !wait ? undefined : livingPid(folder.pid);
    return held === undefined ? { bus: found } : { held };
  });
  if (bus) return bus;
  if (isCopy(folder)) {
    throw new Refusal(
      `no Terrace runs on ${folder.root}, which is a copy of a data folder, or was moved here: start it with "terrace up --data ${data}", or name the folder of the one that runs with --data`,
    );
  }
  throw new Refusal(
    `no Terrace runs on ${folder.root}: start it with "terrace up --data ${data}", or name its folder with --data`,
  );
}

/** Undefined where no layer runs on this data folder. */
export async function findLayer(folder: DataFolder, name = 'terrace'): Promise<Bus | undefined> {
  try {
    const { hostname, port } = new URL((await readFile(folder.busUrl, 'utf8')).trim());
    // In a copy, this is the bus of the layer that it was made of.
    if (isLoopback(hostname) && isCopy(folder) && livingPid(folder.pid) === undefined) return undefined;
    if (!(await isBus({ host: hostname, port: Number(port) }))) return undefined;
    return await connectBus(folder, name);
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    // Ports are given again: this is the bus of another layer.
    if (code === 'AUTHORIZATION_VIOLATION') return undefined;
    if (path === undefined) throw error;
    throw new Refusal(`${path} can't be read (${code}): use the account that started this Terrace`);
  }
}

export async function connectBus(folder: DataFolder, name: string): Promise<Bus> {
  const url = (await readFile(folder.busUrl, 'utf8')).trim();
  const password = (await readFile(folder.password('operator'), 'utf8')).trim();
  const about = { layer: 'operator', instance: name, log: quiet, person: personAtWork() };
  return Bus.connect({ url, user: 'operator', password, ...about });
}

/** Does a nats-server listen there? It speaks first; what took the port of one that is gone may never speak. */
export async function isBus(address: Address): Promise<boolean> {
  const socket = createConnection(address);
  socket.setTimeout(GREETING_MS, () => socket.destroy(new Error('no greeting')));
  try {
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    return greeting.toString('latin1').startsWith('INFO ');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
