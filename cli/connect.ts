import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Bus, type Log } from '#proto/bus.ts';
import { dataFolder } from './data-folder.ts';
import { waitFor } from './ports.ts';
import { Refusal } from './refusal.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The operator's connection to the layer that runs on this data folder. */
export async function connectOperator(data: string, name = 'terrace'): Promise<Bus> {
  const folder = dataFolder(resolve(data));
  const notRunning = new Refusal(
    `no Terrace runs on ${folder.root}: start it with "terrace up --data ${data}", or name its folder with --data`,
  );
  let url: string;
  let password: string;
  try {
    url = (await readFile(folder.busUrl, 'utf8')).trim();
    password = (await readFile(folder.password('operator'), 'utf8')).trim();
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notRunning;
    throw new Refusal(`${path} can't be read (${code}): use the account that started this Terrace`);
  }
  const { hostname, port } = new URL(url);
  if (!(await waitFor({ host: hostname, port: Number(port) }, 1_000))) throw notRunning;
  return Bus.connect({ url, user: 'operator', password, layer: 'operator', instance: name, log: quiet });
}
