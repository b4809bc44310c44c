import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus.ts';
import { Fault } from '#proto/fault.ts';
import { findLayer } from './connect.ts';
import { dataFolder, makeFolders } from './data-folder.ts';
import { claimPid } from './pid-file.ts';
import { Refusal } from './refusal.ts';
import { startStorageAlone } from './storage-alone.ts';
import { singleLine } from './terminal.ts';

/** A layer that starts or ends has a bus, or none left, after this. */
const UNSETTLED_MS = 10_000;

export type Operation = {
  bus: Bus;
  signal: AbortSignal;
  /** No layer runs: storage was started for this, and knows of no configuration. */
  alone: boolean;
};

type Found = AsyncDisposable & Pick<Operation, 'bus' | 'alone'>;

/**
 * Runs the work with storage of this data folder: with that of the layer that runs there, else with one that is
 * started for it and stopped again.
 * @param make a data folder that is not there is made
 * @throws Refusal
 */
export async function withStorage<T>(
  data: string,
  work: (operation: Operation) => Promise<T>,
  { make = false } = {},
): Promise<T> {
  const root = resolve(data);
  if (!make && !existsSync(join(root, 'metadata'))) {
    throw new Refusal(`there is no layer's data in ${root}: name its folder with --data`);
  }
  const end = new AbortController();
  const abort = () => end.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, abort);
  try {
    await using storage = await storageOf(root);
    const { bus, alone } = storage;
    return await work({ bus, alone, signal: end.signal });
  } catch (error) {
    if (end.signal.aborted) throw new Refusal('ended before there was an answer', 130);
    throw Fault.is(error) ? new Refusal(singleLine(error.message)) : error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, abort);
  }
}

async function storageOf(root: string): Promise<Found> {
  const folder = await makeFolders(root);
  for (const until = Date.now() + UNSETTLED_MS; ; await sleep(100)) {
    const bus = await findLayer(folder);
    if (bus) return { bus, alone: false, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
    const claim = claimPid(folder.pid);
    if (!('held' in claim)) break;
    if (Date.now() > until) {
      throw new Refusal(`a Terrace (process ${claim.held}) runs on ${root}, and its bus does not answer`);
    }
  }
  const release = () => rm(dataFolder(root).pid, { force: true });
  try {
    const alone = await startStorageAlone(root);
    return {
      bus: alone.bus,
      alone: true,
      async [Symbol.asyncDispose]() {
        await alone[Symbol.asyncDispose]();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}
