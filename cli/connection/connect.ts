import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { resolve } from 'node:path';
import type { Bus, BusOptions, Log } from '#proto/bus/bus.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { currentUser } from '../data/current-user.ts';
import { type DataFolder, dataFolder, isCopy } from '../data/data-folder.ts';
import { livingPid } from '../data/pid-file.ts';
import type { ListenAddress } from '../data/ports.ts';
import { whileHeld } from '../data/while-held.ts';
import { exitCodeOf } from '../terminal/failure.ts';
import { EXIT_NO_LAYER, Refusal } from '../terminal/refusal.ts';

/**
 * The command's connection to a layer that runs on a data folder.
 *
 * Life of a connection: `connectOperator` reads `bus/url`, checks that a nats-server answers there and that the folder
 * is no copy whose URL belongs to another layer, and logs in as user `operator`. While a process holds the folder
 * without a bus, it polls. The command then sends requests, reads the layer's states (proto/overview/) or follows a
 * pass by its events (follow-pass.ts), and closes the connection at its end (`await using`).
 */

/** Max time for a nats-server to send its greeting, in ms. */
const GREETING_MS = 3_000;

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Connects as operator to the layer that runs on this data folder.
 * @param wait whether to wait for a layer that starts
 * @param limits of the connection's requests; for tests
 * @throws Refusal if none runs
 */
export async function connectOperator(
  data: string,
  name = 'terrace',
  { wait = true, limits }: { wait?: boolean; limits?: BusOptions['limits'] } = {},
): Promise<Bus> {
  const folder = dataFolder(resolve(data));
  const { bus } = await whileHeld(folder.root, async () => {
    const connected = await findLayer(folder, name, limits);
    const held = connected || !wait ? undefined : livingPid(folder.pid);
    return held === undefined ? { bus: connected } : { held };
  });
  if (bus) return bus;
  if (isCopy(folder)) {
    throw new Refusal(
      `no Terrace runs on ${folder.root}, which is a copy of a data folder, or was moved here: start it with "terrace up --data ${data}", or name the folder of the running one with --data`,
      EXIT_NO_LAYER,
    );
  }
  throw new Refusal(
    `no Terrace runs on ${folder.root}: start it with "terrace up --data ${data}", or name its folder with --data`,
    EXIT_NO_LAYER,
  );
}

/** @returns undefined if no layer runs on this data folder @throws Refusal if its files can't be read */
export async function findLayer(
  folder: DataFolder,
  name = 'terrace',
  limits?: BusOptions['limits'],
): Promise<Bus | undefined> {
  try {
    const { hostname, port } = new URL((await readFile(folder.busUrl, 'utf8')).trim());
    // In a copy, this is the bus of the original layer.
    if (isLoopback(hostname) && isCopy(folder) && livingPid(folder.pid) === undefined) return undefined;
    if (!(await isBus({ host: hostname, port: Number(port) }))) return undefined;
    return await connectBus(folder, name, limits);
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    // Ports are reused: this is the bus of another layer.
    if (code === 'AUTHORIZATION_VIOLATION') return undefined;
    if (path === undefined) throw error;
    throw new Refusal(
      `${path} can't be read (${code}): use the account that started this Terrace`,
      exitCodeOf(code),
    );
  }
}

export async function connectBus(
  folder: DataFolder,
  name: string,
  limits?: BusOptions['limits'],
): Promise<Bus> {
  const url = (await readFile(folder.busUrl, 'utf8')).trim();
  const password = (await readFile(folder.password('operator'), 'utf8')).trim();
  const about = { layer: 'operator', instance: name, log: quiet, person: currentUser() };
  // Loaded on demand: a layer that starts, and a command without a layer, have no bus yet.
  const { Bus } = await import('#proto/bus/bus.ts');
  return Bus.connect({ url, user: 'operator', password, ...about, limits });
}

/** Whether a nats-server listens there. It sends first; another program on the port of a stopped one may never send. */
export async function isBus(address: ListenAddress): Promise<boolean> {
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
