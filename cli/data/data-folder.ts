import { type UserName, userNames } from '#proto/contract/users.ts';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isElsewhere, placeOf } from '#proto/volume/folder-identity.ts';
import { busConfiguration } from './bus-configuration.ts';
import { whyNotMade } from '../terminal/failure.ts';
import { isLoopback } from './ports.ts';
import { giveBackRoom } from './room.ts';

/**
 * What the command keeps in a layer's data folder, beside the content, which is storage's:
 *
 *   bus/url               nats://host:port, where the services find the bus
 *   bus/place             the folder that this was written for: a copy of it has another place
 *   bus/nats.conf         configuration of the layer's nats-server; holds all passwords
 *   bus/<user>.password   one for each service, the operator's and the monitors'
 *   bus/jetstream/        the nats-server's store
 *   run/terrace.pid       the supervisor
 *   run/nats.pid          the nats-server
 *   run/alone/            what `bus/` holds, of the bus of a command that works while no layer runs
 *   log/terrace.log       what all processes say, JSON lines
 *   log/audit.log         who did what, JSON lines; storage writes it
 */
export function dataFolder(data: string, bus = 'bus') {
  return {
    root: data,
    bus: join(data, bus),
    busUrl: join(data, bus, 'url'),
    busPlace: join(data, bus, 'place'),
    busConfiguration: join(data, bus, 'nats.conf'),
    password: (user: UserName) => join(data, bus, `${user}.password`),
    jetstream: join(data, bus, 'jetstream'),
    pid: join(data, 'run/terrace.pid'),
    busPid: join(data, 'run/nats.pid'),
    log: join(data, 'log/terrace.log'),
  };
}
export type DataFolder = ReturnType<typeof dataFolder>;

/** The same for a command that works while no layer runs: nothing of the layer's own bus is touched. */
const ALONE = 'run/alone';
export const aloneFolder = (data: string): DataFolder => dataFolder(data, ALONE);
export const makeAloneFolders = (data: string): Promise<DataFolder> => makeFolders(data, ALONE);

/** Makes the folders. Content is nobody else's to read. */
export async function makeFolders(data: string, bus = 'bus'): Promise<DataFolder> {
  // Whatever is wrong with the folder is said by what follows.
  await giveBackRoom(data).catch(() => {});
  try {
    await mkdir(data, { recursive: true });
    for (const folder of [bus, 'run', 'log'])
      await mkdir(join(data, folder), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw await whyNotMade(data, error as NodeJS.ErrnoException);
  }
  return dataFolder(data, bus);
}

export type BusPlace = { host: string; port: number; url: string };

/**
 * Is this a copy of another data folder, or was it moved from another file system? What its `bus` says is of the other
 * one, which may be running.
 */
export const isCopy = (folder: DataFolder): boolean => isElsewhere(folder.busPlace, folder.bus);

/**
 * Makes the credentials that are missing, and writes the bus configuration for this place. A copy gets credentials of
 * its own, unless its bus lies in a network of its own anyway.
 */
export async function writeBus(folder: DataFolder, { host, port, url }: BusPlace): Promise<void> {
  if (isLoopback(host) && isCopy(folder)) {
    for (const user of userNames) await rm(folder.password(user), { force: true });
  }
  const passwords = {} as Record<UserName, string>;
  for (const user of userNames) passwords[user] = await passwordOf(folder, user);
  const text = busConfiguration({ host, port, store: folder.jetstream, passwords });
  await writeSecret(folder.busConfiguration, text);
  await writeFile(folder.busUrl, `${url}\n`);
  await writeFile(folder.busPlace, `${placeOf(folder.bus)}\n`);
}

/** The port that the bus had when it last ran here. */
export async function lastBusPort(folder: DataFolder): Promise<number | undefined> {
  const text = await readFile(folder.busUrl, 'utf8').catch(() => '');
  return URL.canParse(text) ? Number(new URL(text).port) || undefined : undefined;
}

async function passwordOf(folder: DataFolder, user: UserName): Promise<string> {
  const path = folder.password(user);
  const known = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (known) return known;
  const made = randomBytes(32).toString('base64url');
  await writeSecret(path, `${made}\n`);
  return made;
}

async function writeSecret(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  // The mode above is for a new file only.
  await chmod(path, 0o600);
}
