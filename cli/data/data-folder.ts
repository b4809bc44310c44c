import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type UserName, userNames } from '#proto/contract/users.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { folderIdentity, isElsewhere } from '#proto/volume/folder-identity.ts';
import { BUS, BUS_ALONE, commandFiles, LOGS, RUN } from '#proto/volume/layout.ts';
import { mkdirRefusal } from '../terminal/failure.ts';
import { busConfiguration } from './bus-configuration.ts';
import { releaseBallast } from './disk-space.ts';

/**
 * The data folder of a layer, as the command uses it, and facts about the machine around it.
 *
 * Life of a data folder: --data names it (data-option.ts). On a full volume, space is released first (disk-space.ts);
 * `makeFolders` creates the folders; the supervisor claims the pid file (pid-file.ts). `writeBus` creates the
 * credentials at the first start and writes the configuration of the nats-server (bus-configuration.ts) on a free port
 * (ports.ts). Other commands find the bus by `bus/url`, and wait while the folder is held without a bus
 * (while-held.ts). At the stop, the pid files are deleted. A copied or moved folder is recognized by `bus/place` and
 * gets new credentials.
 *
 * node.ts has the flags that Node runs with, current-user.ts the user who runs the command.
 */

/** A layer's data folder and the files of the command in it; content and metadata belong to storage. */
export function dataFolder(data: string, bus = BUS) {
  return { root: data, ...commandFiles(data, bus) };
}
export type DataFolder = ReturnType<typeof dataFolder>;

/** The same for a command that works while no layer runs: the layer's own `bus/` is not touched. */
export const aloneFolder = (data: string): DataFolder => dataFolder(data, BUS_ALONE);
export const makeAloneFolders = (data: string): Promise<DataFolder> => makeFolders(data, BUS_ALONE);

/** Creates the folders; only their owner may read `bus`, `run` and `log`. @throws Refusal */
export async function makeFolders(data: string, bus = BUS): Promise<DataFolder> {
  // An unusable folder is reported by the calls below.
  await releaseBallast(data).catch(() => {});
  try {
    await mkdir(data, { recursive: true });
    for (const folder of [bus, RUN, LOGS]) await mkdir(join(data, folder), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw await mkdirRefusal(data, error as NodeJS.ErrnoException);
  }
  return dataFolder(data, bus);
}

export type BusAddress = { host: string; port: number; url: string };

/**
 * Whether this is a copy of another data folder, or was moved here from another file system. Its `bus` then belongs
 * to the other folder, whose layer may be running.
 */
export const isCopy = (folder: DataFolder): boolean => isElsewhere(folder.busIdentity, folder.bus);

/**
 * Creates missing credentials, and writes the bus configuration for this folder. A copy gets new credentials, unless
 * its bus runs in a separate network (not on loopback).
 */
export async function writeBus(folder: DataFolder, { host, port, url }: BusAddress): Promise<void> {
  if (isLoopback(host) && isCopy(folder)) {
    for (const user of userNames) await rm(folder.password(user), { force: true });
  }
  const passwords = {} as Record<UserName, string>;
  for (const user of userNames) passwords[user] = await passwordOf(folder, user);
  const text = busConfiguration({ host, port, store: folder.jetstream, passwords });
  await replaceFile(folder.busConfiguration, text, 0o600);
  await replaceFile(folder.busIdentity, `${folderIdentity(folder.bus)}\n`, 0o644);
  await replaceFile(folder.busUrl, `${url}\n`, 0o644);
}

/** Port of the bus at its last run on this folder. */
export async function lastBusPort(folder: DataFolder): Promise<number | undefined> {
  const text = await readFile(folder.busUrl, 'utf8').catch(() => '');
  return URL.canParse(text) ? Number(new URL(text).port) || undefined : undefined;
}

async function passwordOf(folder: DataFolder, user: UserName): Promise<string> {
  const path = folder.password(user);
  const known = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (known) return known;
  const created = randomBytes(32).toString('base64url');
  await replaceFile(path, `${created}\n`, 0o600);
  return created;
}

/** Replaces the file at once: commands that read it while a layer starts see the old text or all of the new one. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await writeFile(temporary, text, { mode });
    // `mode` above applies to new files only.
    await chmod(temporary, mode);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}
