import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Bus, type Log } from '#proto/bus.ts';
import { type DataFolder, dataFolder } from './data-folder.ts';
import { waitFor } from './ports.ts';
import { Refusal } from './refusal.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The operator's connection to the layer that runs on this data folder. @throws Refusal where none does */
export async function connectOperator(data: string, name = 'terrace'): Promise<Bus> {
  const folder = dataFolder(resolve(data));
  const bus = await findLayer(folder, name);
  if (bus) return bus;
  throw new Refusal(
    `no Terrace runs on ${folder.root}: start it with "terrace up --data ${data}", or name its folder with --data`,
  );
}

/** Undefined where no layer runs on this data folder. */
export async function findLayer(folder: DataFolder, name = 'terrace'): Promise<Bus | undefined> {
  try {
    const { hostname, port } = new URL((await readFile(folder.busUrl, 'utf8')).trim());
    if (!(await waitFor({ host: hostname, port: Number(port) }, 1_000))) return undefined;
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
  return Bus.connect({ url, user: 'operator', password, layer: 'operator', instance: name, log: quiet });
}
