import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { event } from '#proto/contract/contract.ts';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { type PassResult, passFinished, passStarted, type Retried, startPass } from '#proto/sync/passes.ts';

/** Matches every event: `>` is any type. */
export const anyEvent = event('>', Type.Unknown());

/** Delay before the request is sent to another coordinator, in ms. */
const RETRY_MS = 250;

export type FollowOptions = {
  /** As in `startPass`. */
  full?: boolean | undefined;
  now?: boolean | undefined;
  retry?: Retried | undefined;
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
  const { signal, patience = 30_000, quietMs = 5_000, maxRequests = 5 } = options;
  using seen = new PassEvents(bus, options);
  await bus.flush();
  const requested = new Set<string>();
  for (let requests = 1; requests <= maxRequests; requests += 1) {
    const isLast = requests === maxRequests;
    const pass = await requestPass(bus, options, patience, isLast);
    if (pass === undefined) {
      await sleep(RETRY_MS, undefined, signal ? { signal } : {});
      continue;
    }
    requested.add(pass);
    const result = await waitForResult(bus, seen, pass, requested, quietMs, signal);
    if (result === 'lost') continue;
    if (result.ended !== 'configuration' || isLast) return result;
    requested.delete(result.pass);
  }
  throw new Fault('unavailable', `none of ${maxRequests} passes completed: see the log of the syncers`);
}

/** @returns its id; undefined if the coordinator died with the request: another one takes over soon. @throws Fault */
async function requestPass(
  bus: Bus,
  { full, now, retry, signal }: FollowOptions,
  patience: number,
  isLast: boolean,
): Promise<string | undefined> {
  const since = performance.now();
  try {
    const request = { ...(full && { full }), ...(now && { now }), ...(retry && { retry }) };
    return (await bus.call(startPass, request, { patience, ...(signal && { signal }) })).pass;
  } catch (error) {
    const died = Fault.is(error, 'unavailable') && performance.now() - since < patience;
    if (died && !isLast) return undefined;
    throw error;
  }
}

/**
 * Waits for the result of `pass`, or of one that was requested before it.
 * @returns `lost` if no coordinator works on the pass any more
 * @throws the reason of the signal
 */
async function waitForResult(
  bus: Bus,
  seen: PassEvents,
  pass: string,
  requested: ReadonlySet<string>,
  quietMs: number,
  signal: AbortSignal | undefined,
): Promise<PassResult | 'lost'> {
  for (seen.lastAt = performance.now(); ; ) {
    const result = seen.firstResult(requested);
    if (result) return result;
    signal?.throwIfAborted();
    if (seen.isTakenOver(pass)) return 'lost';
    const silence = performance.now() - seen.lastAt;
    if (silence >= quietMs) {
      if (!(await isActive(bus, seen.coordinator))) return 'lost';
      seen.lastAt = performance.now();
    }
    await seen.next(Math.max(50, quietMs - silence));
  }
}

/** The passes of a layer, as far as their events were received. */
class PassEvents implements Disposable {
  /** Last event of a pass; the caller sets it when it knows that the pass is running. */
  lastAt = performance.now();
  readonly #results = new Map<string, PassResult>();
  /** Coordinator of each pass, in the order in which the passes began. */
  readonly #coordinators = new Map<string, string>();
  readonly #subscriptions: (() => void)[];
  readonly #signal: AbortSignal | undefined;
  #wake = () => {};

  /** Ends its waits when `signal` aborts. */
  constructor(bus: Bus, { signal, onEvent }: Pick<FollowOptions, 'signal' | 'onEvent'>) {
    this.#signal = signal;
    this.#subscriptions = [
      bus.listen(anyEvent, (received) => {
        // Events of the layer's clients say nothing about the pass.
        if (/^terrace\.(pass|image|transfer)\./.test(received.type)) this.lastAt = performance.now();
        onEvent?.(received);
      }),
      bus.listen(passStarted, ({ data }) => {
        this.#coordinators.set(data.pass, data.coordinator);
        this.#wake();
      }),
      bus.listen(passFinished, ({ data }) => {
        this.#results.set(data.pass, data);
        this.#wake();
      }),
    ];
    signal?.addEventListener('abort', this.#onAbort);
  }

  /** Result of the first of these passes that has one. */
  firstResult(passes: ReadonlySet<string>): PassResult | undefined {
    return [...passes].map((id) => this.#results.get(id)).find((one) => one !== undefined);
  }

  /** Coordinator of the last pass that began. */
  get coordinator(): string | undefined {
    return [...this.#coordinators.values()].at(-1);
  }

  /** Whether a pass of another coordinator began after this one. */
  isTakenOver(pass: string): boolean {
    const owner = this.#coordinators.get(pass);
    return owner !== undefined && owner !== this.coordinator;
  }

  /** Resolves when a pass begins or ends, or after `ms`. */
  next(ms: number): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, ms).unref();
    });
  }

  [Symbol.dispose](): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }

  readonly #onAbort = () => this.#wake();
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
