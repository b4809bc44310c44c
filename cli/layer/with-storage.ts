import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { METADATA } from '#proto/volume/layout.ts';
import { findLayer } from '../connection/connect.ts';
import { makeFolders } from '../data/data-folder.ts';
import { claimFolder } from '../data/pid-file.ts';
import { whileHeld } from '../data/while-held.ts';
import { faultRefusal } from '../terminal/failure.ts';
import { EXIT_INTERRUPTED, Refusal } from '../terminal/refusal.ts';
import { STORAGE_START_MS } from './programs.ts';
import { startStorageAlone } from './storage-alone.ts';

export type Operation = {
  bus: Bus;
  signal: AbortSignal;
  /** No layer runs: storage was started for this command, and has no configuration. */
  alone: boolean;
};

type Connection = AsyncDisposable & Pick<Operation, 'bus' | 'alone'>;

/**
 * Runs the work with the storage of this data folder: of the layer that runs there, else of one that is started for the
 * work and stopped afterwards.
 * @param make whether to create a missing data folder
 * @throws Refusal
 */
export async function withStorage<T>(
  data: string,
  work: (operation: Operation) => Promise<T>,
  { make = false } = {},
): Promise<T> {
  const root = resolve(data);
  if (!make && !existsSync(join(root, METADATA))) {
    throw new Refusal(`${root} contains no data of a layer: name the data folder with --data`);
  }
  const end = new AbortController();
  const abort = () => end.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, abort);
  try {
    await using storage = await connectToStorage(root, end.signal);
    const { bus, alone } = storage;
    return await work({ bus, alone, signal: end.signal });
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (end.signal.aborted) throw new Refusal('interrupted before an answer arrived', EXIT_INTERRUPTED);
    throw Fault.is(error) ? faultRefusal(error) : error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, abort);
  }
}

async function connectToStorage(root: string, signal: AbortSignal): Promise<Connection> {
  const folder = await makeFolders(root);
  const found = await whileHeld(root, async () => (await findLayer(folder)) ?? claimFolder(folder), signal);
  if (found instanceof Bus) return awaitStorage(found, signal);
  const release = () => found[Symbol.dispose]();
  try {
    const alone = await startStorageAlone(root);
    return {
      bus: alone.bus,
      alone: true,
      async [Symbol.asyncDispose]() {
        await alone[Symbol.asyncDispose]();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Waits for storage: in a layer that starts, it serves later than the bus. */
async function awaitStorage(bus: Bus, signal: AbortSignal): Promise<Connection> {
  try {
    await bus.call(storageStatus, {}, { patience: STORAGE_START_MS, signal });
  } catch (error) {
    await bus[Symbol.asyncDispose]();
    throw error;
  }
  return { bus, alone: false, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
}
