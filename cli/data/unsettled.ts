import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../terminal/refusal.ts';
import { printError } from '../terminal/terminal.ts';

/** For longer no process starts a layer, ends one or works on its data alone, in ms. */
const MAX_UNSETTLED_MS = 60_000;
/** After this the user is told what is waited for, in ms. */
const NOTICE_MS = 2_000;
const RETRY_MS = 100;

/** The pid of a process that holds the data folder while its bus does not answer. */
export type Held = { held: number };

/**
 * Waits while a data folder is held by a process whose bus does not answer: it starts a layer, ends one, or is another
 * command that works on the data alone. Each of them is given its time.
 * @param look what there is to be found now, or who holds the folder
 * @throws Refusal
 */
export async function whileHeld<T extends object>(
  root: string,
  look: () => Promise<T | Held>,
  signal?: AbortSignal,
): Promise<T> {
  let holder: number | undefined;
  let since = 0;
  let noticed = false;
  for (; ; await sleep(RETRY_MS, undefined, signal ? { signal } : {})) {
    const found = await look();
    if (!('held' in found)) return found;
    if (found.held !== holder) since = performance.now();
    holder = found.held;
    const waited = performance.now() - since;
    if (waited > MAX_UNSETTLED_MS) {
      throw new Refusal(
        `process ${holder} runs on ${root}, and its bus does not answer: stop it, or see the log of the layer`,
      );
    }
    if (noticed || waited < NOTICE_MS) continue;
    noticed = true;
    printError(`Waiting for process ${holder}, which starts or ends on ${root} …`);
  }
}
