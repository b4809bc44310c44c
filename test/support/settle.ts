import { setTimeout as sleep } from 'node:timers/promises';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { patience } from './until.ts';

/** Requests a pass of a layer. `full`: it retries parked changes, too. */
export type RequestPass = (options: { full: boolean }) => Promise<PassResult>;

/** Rounds without `full`: these passes have to suffice, except for changes that were refused for a time. */
const NORMAL_ROUNDS = 4;

/**
 * Requests passes from the lowest layer up and back, until a complete round has nothing to do.
 * @returns the number of rounds that had something to do
 */
export async function settle(fromBelow: RequestPass[], withinMs?: number): Promise<number> {
  const order = [...fromBelow, ...fromBelow.slice(0, -1).reverse()];
  const end = performance.now() + patience(withinMs);
  for (let rounds = 0; ; rounds += 1) {
    const changes: string[] = [];
    for (const pass of order) changes.push(...(await changesOf(pass, rounds >= NORMAL_ROUNDS)));
    if (changes.length === 0) return rounds;
    if (performance.now() > end)
      throw new Error(`not settled after ${rounds} rounds:\n${changes.join('\n')}`);
    await sleep(100);
  }
}

/** What the pass changed, or why it failed; empty if there was nothing to do. */
async function changesOf(pass: RequestPass, full: boolean): Promise<string[]> {
  try {
    const result = await pass({ full });
    const { ok, taken, dropped, sent, withdrawn, failed, parked, failures, ended, leftOut } = result;
    const counts = { taken, dropped, sent, withdrawn, failed, parked };
    const isComplete = ok || (leftOut !== undefined && lacksOnlyTags(leftOut));
    const isIdle = isComplete && !ended && Object.values(counts).every((count) => count === 0);
    return isIdle ? [] : [JSON.stringify({ ...counts, failures: failures.slice(0, 3), ended, leftOut })];
  } catch (error) {
    return [(error as Error).message];
  }
}

/** No pass brings a tag that the parent lists without a manifest: a killed docker-registry leaves such tags. */
const lacksOnlyTags = ({ referrers, children, tags = 0, repositories }: LeftOutSummary): boolean =>
  referrers === 0 && children === 0 && tags > 0 && !repositories;
