import { setTimeout as sleep } from 'node:timers/promises';
import type { PassResult } from '#proto/sync/passes.ts';
import { patience } from './until.ts';

/** Asks a layer for a whole pass; `full` tries also what is parked. */
export type AskForPass = (options: { full: boolean }) => Promise<PassResult>;

/** Passes of the usual kind come first: they have to do, but for what was refused for a time. */
const USUAL_ROUNDS = 4;

/**
 * Asks for passes, from below and back, until a whole round finds nothing to do.
 * @returns how many rounds had something to do
 */
export async function settle(fromBelow: AskForPass[], withinMs?: number): Promise<number> {
  const order = [...fromBelow, ...fromBelow.slice(0, -1).reverse()];
  const end = performance.now() + patience(withinMs);
  for (let rounds = 0; ; rounds += 1) {
    const said: string[] = [];
    for (const ask of order) said.push(...(await busy(ask, rounds >= USUAL_ROUNDS)));
    if (said.length === 0) return rounds;
    if (performance.now() > end)
      throw new Error(`after ${rounds} rounds there is still something to do:\n${said.join('\n')}`);
    await sleep(100);
  }
}

/** What the pass did, or why there was none. */
async function busy(ask: AskForPass, full: boolean): Promise<string[]> {
  try {
    const { ok, taken, dropped, sent, withdrawn, failed, parked, failures, ended } = await ask({ full });
    const did = { taken, dropped, sent, withdrawn, failed, parked };
    const idle = ok && !ended && Object.values(did).every((count) => count === 0);
    return idle ? [] : [JSON.stringify({ ...did, failures: failures.slice(0, 3), ended })];
  } catch (error) {
    return [(error as Error).message];
  }
}
