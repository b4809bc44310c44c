import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import { Bus } from '#proto/bus/bus.ts';
import { discardIngest, startUpload, uploadStatus } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { Volume } from '#proto/volume/volume.ts';
import { isBus, quiet } from '../connection/connect.ts';
import { type DataFolder, dataFolder } from '../data/data-folder.ts';
import { Refusal } from '../terminal/refusal.ts';
import type { Place } from './programs.ts';

/** A layer that runs elsewhere, for syncers that are to work for it as its own do. */

export type Joining = {
  /** The data volume, absolute. */
  data: string;
  /** Instead of what the data volume says of the bus. */
  bus?: string | undefined;
  credentials?: string | undefined;
  say: (text: string) => void;
};

/** How long to wait before the layer is looked for again, in ms: doubling, ± 25 %. */
const RETRY = { firstMs: 250, maxMs: 10_000 };
/** How often to look whether the layer has moved, in ms. */
const POLL_MS = 5_000;
const PATIENCE = { patience: 2_000 };
const CONNECT_MS = 10_000;
/** No client can push to it: not the name of a repository of anybody. */
const REPOSITORY = 'terrace/join';

/** Why it is to be looked for again. */
class NotYet extends Error {}

/**
 * Waits as long as it takes for the layer's bus, its configuration and its storage.
 * @returns undefined where `signal` aborted meanwhile
 * @throws Refusal for what waiting does not mend
 */
export async function joinLayer(joining: Joining, signal: AbortSignal): Promise<Place | undefined> {
  let said: string | undefined;
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      return await unlessAborted(look(joining), signal);
    } catch (error) {
      if (!(error instanceof NotYet)) throw error;
      if (error.message !== said) joining.say(`${error.message}: waiting …`);
      said = error.message;
    }
    await sleep(backoffMs(failures, RETRY), undefined, { signal }).catch(() => {});
  }
  return undefined;
}

/** Resolves when the bus is to be found elsewhere, or `signal` aborts. One that is only away comes back where it was. */
export async function untilMoved({ data, bus }: Joining, url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(jittered(POLL_MS), undefined, { signal }).catch(() => {});
    const now = bus ?? (await readFile(dataFolder(data).busUrl, 'utf8').catch(() => url)).trim();
    if (now !== '' && now !== url) return;
  }
}

async function look({ data, bus: given, credentials }: Joining): Promise<Place> {
  const folder = dataFolder(data);
  const url = given ?? (await secret(folder.busUrl, data));
  const password = await secret(credentials ?? folder.password('syncer'), data, credentials !== undefined);
  const { hostname: host, port } = new URL(url);
  if (!(await isBus({ host, port: Number(port) }))) throw new NotYet(`No bus answers at ${url}`);
  await using bus = await connect(url, password, given !== undefined);
  const inForce = await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  if (!inForce) {
    throw new NotYet(
      `The layer at ${url} has no configuration yet, or another version of Terrace runs it (use the same one here)`,
    );
  }
  await mustShare(bus, folder, url);
  const env = { ...process.env, ...(credentials !== undefined && { TERRACE_BUS_PASSWORD: password }) };
  // The name is the layer's: it is part of the tags that a coordinator gives what lost a conflict.
  return { folder, name: inForce.value.name, busUrl: url, env };
}

async function connect(url: string, password: string, given: boolean): Promise<Bus> {
  const about = { layer: 'join', instance: 'terrace-syncer', log: quiet };
  const connecting = Bus.connect({ url, user: 'syncer', password, ...about });
  try {
    // By itself it would wait as long as it takes.
    const bus = await Promise.race([connecting, sleep(CONNECT_MS)]);
    if (bus) return bus;
  } catch (error) {
    if ((error as { code?: string }).code !== 'AUTHORIZATION_VIOLATION')
      throw new NotYet(`No bus answers at ${url}`);
    // Ports are given again: what the data volume says may be the bus of another layer now.
    if (!given) throw new NotYet(`The bus at ${url} is not that of this data volume`);
    throw new Refusal(
      `the bus at ${url} does not take these credentials: name the file bus/syncer.password of its layer with --credentials`,
    );
  }
  // It may connect later all the same.
  connecting.then((late) => late[Symbol.asyncDispose]()).catch(() => {});
  throw new NotYet(`No bus answers at ${url}`);
}

/** @returns undefined where `signal` aborts first: what goes on then ends with the process */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const abort = () => resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** What is written here must be what storage sees: a folder that is not mounted, or another layer's, would spoil all. */
async function mustShare(bus: Bus, { root }: DataFolder, url: string): Promise<void> {
  try {
    const query = { repository: REPOSITORY, by: 'terrace-syncer', hold: true };
    const claim = await bus.call(startUpload, query, PATIENCE);
    const { id } = claim;
    try {
      {
        await using file = await new Volume(root).openIngest(claim);
        await file.write([Buffer.from('?')], 0);
      }
      const { offset } = await bus.call(uploadStatus, { repository: REPOSITORY, id }, PATIENCE);
      if (offset === 1) return;
    } finally {
      await bus.call(discardIngest, { id, claim: claim.claim }, PATIENCE).catch(() => {});
    }
  } catch (error) {
    if (error instanceof Fault)
      throw new NotYet(`Storage of the layer at ${url} takes nothing (${error.message})`);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') {
      throw new Refusal(`--data: ${root} can't be written (${code}): use the account that started the layer`);
    }
  }
  throw new Refusal(
    `--data: ${root} is not the data volume of the layer at ${url}: mount it here, and name it`,
  );
}

/** @param named whether somebody named this file */
async function secret(path: string, data: string, named = false): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim();
    if (text !== '') return text;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (named)
      throw new Refusal(`--credentials: ${path} can't be read (${code}): name a file that is there`, 2);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      throw new Refusal(`${path} can't be read (${code}): use the account that started this Terrace`);
    }
  }
  throw new NotYet(`No layer has run on ${data} yet`);
}
