import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_TRY_AGAIN, Refusal } from '../terminal/refusal.ts';
import { printError } from '../terminal/terminal.ts';

/** Max time that one process holds the data folder without a bus: to start or stop a layer, or to work alone, in ms. */
const MAX_HELD_MS = 60_000;
/** Wait time after which the user is informed, in ms. */
const NOTICE_MS = 2_000;
/** Poll interval, in ms. */
const POLL_MS = 100;

/** The pid of a process that holds the data folder while its bus does not answer. */
export type FolderHolder = { held: number };

/**
 * Polls while a data folder is held by a process whose bus does not answer: it starts or stops a layer, or is another
 * command that works on the data alone. Each holder gets `MAX_HELD_MS`.
 * @param poll returns the result, or the holder of the folder
 * @throws Refusal if one holder exceeds its time
 */
export async function whileHeld<T extends object>(
  root: string,
  poll: () => Promise<T | FolderHolder>,
  signal?: AbortSignal,
): Promise<T> {
  let holder: number | undefined;
  let since = 0;
  let noticed = false;
  for (; ; await sleep(POLL_MS, undefined, signal ? { signal } : {})) {
    const result = await poll();
    if (!('held' in result)) return result;
    if (result.held !== holder) since = performance.now();
    holder = result.held;
    const waited = performance.now() - since;
    if (waited > MAX_HELD_MS) {
      throw new Refusal(
        `process ${holder} runs on ${root}, and its bus does not answer: stop it, or see the log of the layer`,
        EXIT_TRY_AGAIN,
      );
    }
    if (noticed || waited < NOTICE_MS) continue;
    noticed = true;
    printError(`Waiting for process ${holder}, which starts or stops on ${root} …`);
  }
}
