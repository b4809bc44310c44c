import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import { orAborted } from '#proto/async/unless-aborted.ts';
import { Bus } from '#proto/bus/bus.ts';
import { discardIngest, startUpload, uploadStatus } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { Volume } from '#proto/volume/volume.ts';
import { isBus, quiet } from '../connection/connect.ts';
import { type DataFolder, dataFolder } from '../data/data-folder.ts';
import { exitCodeOf } from '../terminal/failure.ts';
import { EXIT_NOT_PERMITTED, Refusal } from '../terminal/refusal.ts';
import type { ServiceSettings } from './programs.ts';

/** Joins syncers to a layer that runs elsewhere; they work like the layer's own syncers. */

export type JoinOptions = {
  /** The data volume, absolute. */
  data: string;
  /** URL of the bus, and file with its password; default: those in the data volume. */
  bus?: string | undefined;
  credentials?: string | undefined;
  print: (text: string) => void;
};

/** Backoff between attempts to join. */
const RETRY = { firstMs: 250, maxMs: 10_000 };
/** Interval between checks whether the bus has moved, in ms. */
const POLL_MS = 5_000;
/** Max wait for an answer of storage, in ms. */
const PATIENCE = { patience: 2_000 };
/** Max time to connect to the bus, in ms. */
const CONNECT_MS = 10_000;
/** Repository of the test upload, which is discarded. Not a name that anybody uses. */
const REPOSITORY = 'terrace/join';

/** The layer can't be joined yet, for the reason in the message: try again. */
class NotYet extends Error {}

/**
 * Waits without a limit for the layer's bus, its configuration and its storage.
 * @returns undefined if `signal` aborts first
 * @throws Refusal for errors that waiting does not fix
 */
export async function joinLayer(
  joining: JoinOptions,
  signal: AbortSignal,
): Promise<ServiceSettings | undefined> {
  let reported: string | undefined;
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      // On an abort, the attempt continues until the process ends.
      return await orAborted(signal, tryToJoin(joining));
    } catch (error) {
      if (!(error instanceof NotYet)) throw error;
      if (error.message !== reported) joining.print(`${error.message}: waiting …`);
      reported = error.message;
    }
    await sleep(backoffMs(failures, RETRY), undefined, { signal }).catch(() => {});
  }
  return undefined;
}

/**
 * Resolves when the bus has another URL, or `signal` aborts. A bus that is only unreachable returns at the same URL.
 */
export async function untilMoved(
  { data, bus }: JoinOptions,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(jittered(POLL_MS), undefined, { signal }).catch(() => {});
    const now = bus ?? (await readFile(dataFolder(data).busUrl, 'utf8').catch(() => url)).trim();
    if (now !== '' && now !== url) return;
  }
}

async function tryToJoin({ data, bus: given, credentials }: JoinOptions): Promise<ServiceSettings> {
  const folder = dataFolder(data);
  const url = given ?? (await readSecret(folder.busUrl, data));
  const password = await readSecret(
    credentials ?? folder.password('syncer'),
    data,
    credentials !== undefined,
  );
  const { hostname: host, port } = new URL(url);
  if (!(await isBus({ host, port: Number(port) }))) throw new NotYet(`No bus answers at ${url}`);
  await using bus = await connect(url, password, given !== undefined);
  const inForce = await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  if (!inForce) {
    throw new NotYet(
      `The layer at ${url} has no configuration yet, or runs another version of Terrace (use the same version here)`,
    );
  }
  await mustShare(bus, folder, url);
  const env = { ...process.env, ...(credentials !== undefined && { TERRACE_BUS_PASSWORD: password }) };
  // The name of the layer: a coordinator puts it into the conflict tags.
  return { folder, name: inForce.value.name, busUrl: url, env };
}

async function connect(url: string, password: string, given: boolean): Promise<Bus> {
  const about = { layer: 'join', instance: 'terrace-syncer', log: quiet };
  const connecting = Bus.connect({ url, user: 'syncer', password, ...about });
  try {
    // `Bus.connect` waits without a limit.
    const bus = await Promise.race([connecting, sleep(CONNECT_MS)]);
    if (bus) return bus;
  } catch (error) {
    if ((error as { code?: string }).code !== 'AUTHORIZATION_VIOLATION')
      throw new NotYet(`No bus answers at ${url}`);
    // Ports are reused: the URL in the data volume may belong to another layer now.
    if (!given) throw new NotYet(`The bus at ${url} belongs to another data volume`);
    throw new Refusal(
      `the bus at ${url} rejects these credentials: name the file bus/syncer.password of its layer with --credentials`,
      EXIT_NOT_PERMITTED,
    );
  }
  // It may still connect later: close it then.
  connecting.then((late) => late[Symbol.asyncDispose]()).catch(() => {});
  throw new NotYet(`No bus answers at ${url}`);
}

/**
 * Checks with a test upload that storage sees what is written here: an unmounted folder, or the data volume of another
 * layer, would break all transfers.
 * @throws Refusal
 */
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
      throw new NotYet(`Storage of the layer at ${url} accepts no uploads (${error.message})`);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') {
      throw new Refusal(
        `--data: ${root} can't be written (${code}): use the account that started the layer`,
        exitCodeOf(code),
      );
    }
  }
  throw new Refusal(
    `--data: ${root} is not the data volume of the layer at ${url}: mount it here, and name it`,
  );
}

/** @param named whether the user named this file (--credentials) */
async function readSecret(path: string, data: string, named = false): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim();
    if (text !== '') return text;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (named) throw new Refusal(`--credentials: ${path} can't be read (${code}): name a readable file`, 2);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      throw new Refusal(
        `${path} can't be read (${code}): use the account that started this Terrace`,
        exitCodeOf(code),
      );
    }
  }
  throw new NotYet(`No layer has run on ${data} yet`);
}
