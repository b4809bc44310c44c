import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { event } from '#proto/contract/contract.ts';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { type PassResult, passFinished, passStarted, startPass } from '#proto/sync/passes.ts';

/** Hears all there is: `>` is any type. */
export const anyEvent = event('>', Type.Unknown());

/** Before another coordinator is asked, in ms. */
const RETRY_MS = 250;

export type FollowOptions = {
  /** As `startPass` has them. */
  full?: boolean | undefined;
  now?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Hears every event while the pass is followed. */
  hear?: ((heard: ReceivedEvent<unknown>) => void) | undefined;
  /** How long to wait for a coordinator: one may be taking over. */
  patience?: number;
  /** After this much silence, look whether the pass still has its coordinator. */
  quietMs?: number;
  /** How often to ask for a pass, all in all. */
  asks?: number;
};

/**
 * Asks for a pass and resolves with what it came to. A pass that lost its coordinator never ends: where neither
 * events nor the states of the layer speak of it any more, another one is asked for; so it is where the configuration
 * changed in the middle.
 * @throws Fault `unavailable` where no pass came to its end; `window-closed`
 */
export async function followPass(bus: Bus, options: FollowOptions = {}): Promise<PassResult> {
  const { full, now, signal, hear, patience = 30_000, quietMs = 5_000, asks = 5 } = options;
  const wish = { ...(full && { full }), ...(now && { now }) };
  const wanted = new Set<string>();
  const results = new Map<string, PassResult>();
  let last = Date.now();
  /** Who began each pass, in the order in which they began. */
  const began = new Map<string, string>();
  let wake = () => {};
  const ends = [
    bus.listen(anyEvent, (heard) => {
      // What clients of the layer do meanwhile says nothing of the pass.
      if (/^terrace\.(pass|image|transfer)\./.test(heard.type)) last = Date.now();
      hear?.(heard);
    }),
    bus.listen(passStarted, ({ data }) => {
      began.set(data.pass, data.coordinator);
      wake();
    }),
    bus.listen(passFinished, ({ data }) => {
      results.set(data.pass, data);
      wake();
    }),
  ];
  const abort = () => wake();
  signal?.addEventListener('abort', abort);
  try {
    await bus.flush();
    for (let asked = 0; asked < asks; asked += 1) {
      const since = Date.now();
      const answer = await bus
        .call(startPass, wish, { patience, ...(signal && { signal }) })
        .catch((error) => {
          // The one that was asked has died with the question: another one coordinates soon.
          const died = Fault.is(error, 'unavailable') && Date.now() - since < patience;
          if (died && asked < asks - 1) return undefined;
          throw error;
        });
      if (!answer) {
        await sleep(RETRY_MS, undefined, signal ? { signal } : {});
        continue;
      }
      const { pass } = answer;
      wanted.add(pass);
      last = Date.now();
      for (;;) {
        const result = [...wanted].map((id) => results.get(id)).find((found) => found !== undefined);
        if (result && (result.ended !== 'configuration' || asked === asks - 1)) return result;
        if (result) {
          wanted.delete(result.pass);
          break;
        }
        signal?.throwIfAborted();
        const owner = began.get(pass);
        const coordinator = [...began.values()].at(-1);
        if (owner && owner !== coordinator) break;
        const silence = Date.now() - last;
        if (silence >= quietMs) {
          if (!(await isUnderWay(bus, coordinator))) break;
          last = Date.now();
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          const timer = setTimeout(resolve, Math.max(50, quietMs - silence));
          timer.unref();
        });
      }
    }
    throw new Fault(
      'unavailable',
      `${asks} passes began and none came to its end: see the log of the syncers`,
    );
  } finally {
    signal?.removeEventListener('abort', abort);
    for (const end of ends) end();
  }
}

/** Whether the one that began the pass still coordinates, and says that it is at work. */
async function isUnderWay(bus: Bus, coordinator: string | undefined): Promise<boolean> {
  try {
    const holder = (await bus.get(lease, COORDINATOR_KEY))?.value.holder;
    const link = (await bus.get(linkStatus, LINK_KEY))?.value;
    return link?.state === 'Syncing' && holder !== undefined && (coordinator ?? holder) === holder;
  } catch {
    return false;
  }
}
