import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { event } from '#proto/contract/contract.ts';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { type PassResult, passFinished, passStarted, startPass } from '#proto/sync/passes.ts';

/** Matches every event: `>` is any type. */
export const anyEvent = event('>', Type.Unknown());

/** Delay before the request is sent to another coordinator, in ms. */
const RETRY_MS = 250;

export type FollowOptions = {
  /** As in `startPass`. */
  full?: boolean | undefined;
  now?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Called with every event while the pass is followed. */
  onEvent?: ((event: ReceivedEvent<unknown>) => void) | undefined;
  /** Max wait for a coordinator, in ms: another one may be taking over. */
  patience?: number;
  /** Time without events of the pass after which its coordinator is checked, in ms. */
  quietMs?: number;
  /** Max requests for a pass. */
  maxRequests?: number;
};

/**
 * Requests a pass and resolves with its result. A pass that lost its coordinator never ends: another one is requested
 * if neither events nor the layer's states mention it any more. The same applies if the configuration changed during
 * the pass.
 * @throws Fault `unavailable` if no pass ended; `window-closed`, `config-invalid`
 */
export async function followPass(bus: Bus, options: FollowOptions = {}): Promise<PassResult> {
  const { full, now, signal, onEvent, patience = 30_000, quietMs = 5_000, maxRequests = 5 } = options;
  const request = { ...(full && { full }), ...(now && { now }) };
  const requested = new Set<string>();
  const results = new Map<string, PassResult>();
  let last = Date.now();
  /** Coordinator of each pass, in the order in which the passes began. */
  const coordinators = new Map<string, string>();
  let wake = () => {};
  const subscriptions = [
    bus.listen(anyEvent, (received) => {
      // Events of the layer's clients say nothing about the pass.
      if (/^terrace\.(pass|image|transfer)\./.test(received.type)) last = Date.now();
      onEvent?.(received);
    }),
    bus.listen(passStarted, ({ data }) => {
      coordinators.set(data.pass, data.coordinator);
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
    for (let requests = 0; requests < maxRequests; requests += 1) {
      const since = Date.now();
      const answer = await bus
        .call(startPass, request, { patience, ...(signal && { signal }) })
        .catch((error) => {
          // The coordinator died with the request: another one takes over soon.
          const died = Fault.is(error, 'unavailable') && Date.now() - since < patience;
          if (died && requests < maxRequests - 1) return undefined;
          throw error;
        });
      if (!answer) {
        await sleep(RETRY_MS, undefined, signal ? { signal } : {});
        continue;
      }
      const { pass } = answer;
      requested.add(pass);
      last = Date.now();
      for (;;) {
        const result = [...requested].map((id) => results.get(id)).find((one) => one !== undefined);
        if (result && (result.ended !== 'configuration' || requests === maxRequests - 1)) return result;
        if (result) {
          requested.delete(result.pass);
          break;
        }
        signal?.throwIfAborted();
        const owner = coordinators.get(pass);
        const coordinator = [...coordinators.values()].at(-1);
        if (owner && owner !== coordinator) break;
        const silence = Date.now() - last;
        if (silence >= quietMs) {
          if (!(await isActive(bus, coordinator))) break;
          last = Date.now();
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          const timer = setTimeout(resolve, Math.max(50, quietMs - silence));
          timer.unref();
        });
      }
    }
    throw new Fault('unavailable', `none of ${maxRequests} passes completed: see the log of the syncers`);
  } finally {
    signal?.removeEventListener('abort', abort);
    for (const unsubscribe of subscriptions) unsubscribe();
  }
}

/** Whether the coordinator of the pass still holds the lease, and reports that it is syncing. */
async function isActive(bus: Bus, coordinator: string | undefined): Promise<boolean> {
  try {
    const holder = (await bus.get(lease, COORDINATOR_KEY))?.value.holder;
    const link = (await bus.get(linkStatus, LINK_KEY))?.value;
    return link?.state === 'Syncing' && holder !== undefined && (coordinator ?? holder) === holder;
  } catch {
    return false;
  }
}
