import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { Arriving } from '#proto/content/arriving.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import { deltaOffered } from '#proto/sync/delta-jobs.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { DeltaPace } from '../delta/delta-pace.ts';
import type { ParentClients } from '../link/parent/client-cache.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import type { CursorFollower } from '../reconcile/observe/change-cursor.ts';
import { isImageSelected } from '../reconcile/pull/image-context.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import { OfferedDeltas } from '../transfer/deltas/offered-deltas.ts';
import type { DeltaApplier } from '../transfer/pieces/delta-applier.ts';
import type { TransferRecorder } from '../transfer/syncer-status.ts';
import { runDelta, runDownload } from '../transfer/worker.ts';
import { type Aside, WorkerPool } from '../transfer/worker-pool.ts';
import { AnswerPace, type PollPace } from './answer-pace.ts';
import { ArrivalWorth } from './arrival-worth.ts';
import { type Arrival, arrivalsIn, choosePulls, type Pull } from './arrivals.ts';
import { HeldArrivals } from './held-arrivals.ts';
import { RunningPulls } from './running-pulls.ts';
import { PATIENT_BACKOFF, waitAfter } from './wait-after.ts';

/** Poll interval while the link is not live or the parent has no change feed, in ms. */
const POLL_MS = 5_000;
/** Max blobs in the queue, and per request to storage. The pass pulls those that find no place. */
const MAX_WAITING = 1_000;
/** Max deltas to remember that were tried: each is, once. */
const MAX_TRIED = 1_000;
/** Stands for the id of a pass in the events of these transfers. */
const PASS = 'arriving';

export type PrefetcherDeps = {
  bus: Bus;
  volume: Volume;
  settings: Pick<SyncerSettings, 'get' | 'bandwidth'> & {
    clients(): Promise<Pick<ParentClients, 'arriving' | 'deltas'>>;
  };
  /** A parent without a change feed is not asked. */
  changeCursor: CursorFollower;
  /** Undefined if no parent is configured. */
  link: () => LinkUse | undefined;
  /** This process, as the holder of claims. */
  by: string;
  activity: TransferRecorder;
  /** Absent: no deltas are pulled. */
  deltaPace?: DeltaPace;
  applier?: DeltaApplier;
  log: Log;
  pace?: PollPace;
};

/** Is woken when the parent receives content, and says when it has nothing to do. */
export interface ArrivalFollower {
  readonly idle: boolean;
  begin(): void;
  onIdle(listener: () => void): Disposable;
}

/**
 * Pulls blobs that the parent is still receiving and that this layer selects, so that content crosses the links of
 * several layers at the same time; as deltas, if that is how the parent gets them, and their bases are here. What the
 * pass will get as a delta is left to it, if that is soon enough. It is an optimization: the pass that needs the
 * content finds it here, completely or in part, or pulls it. The link is used as in `follow`: one long poll for
 * arriving blobs. While none arrives at the parent, the prefetcher is idle and sends no request; the long poll of
 * `follow` then reports when that changes.
 */
export class Prefetcher implements ArrivalFollower {
  readonly #deps: PrefetcherDeps;
  readonly #pool: WorkerPool;
  /** Queue, in the order in which the parent began to receive the blobs. */
  #waiting: Pull[] = [];
  readonly #tried = new BoundedMap<true>(MAX_TRIED);
  /** Blobs of which a delta was begun and may be continued: a pass does that. */
  readonly #begun = new BoundedMap<true>(MAX_TRIED);
  readonly #running: RunningPulls;
  readonly #held: HeldArrivals;
  readonly #worth: ArrivalWorth;
  readonly #offered: OfferedDeltas;
  #queued = Promise.withResolvers<void>();
  /** The parent reported no arriving blobs. */
  #idle = false;
  /** Whether the parent reports arriving blobs at all. */
  #isSupported = true;
  #resumed = Promise.withResolvers<void>();
  readonly #onIdle = new Set<() => void>();
  /** Aborts all running transfers. */
  #end = new AbortController();

  constructor(deps: PrefetcherDeps) {
    this.#deps = deps;
    this.#pool = new WorkerPool(deps.log);
    this.#running = new RunningPulls(deps.bus);
    this.#worth = new ArrivalWorth(deps);
    this.#offered = new OfferedDeltas(deps.bus);
    this.#held = new HeldArrivals({
      release: (pull) => this.#add([pull]),
      held: (ms) => deps.deltaPace?.saved(-ms),
    });
  }

  /** Runs until the signal aborts. Resolves when all running transfers have ended. */
  async run(signal: AbortSignal): Promise<void> {
    using _running = this.#running;
    using _offered = this.#offered;
    await using pool = this.#pool;
    pool.start((stopped) => this.#work(AbortSignal.any([signal, stopped]), signal));
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
    const { pace = new AnswerPace() } = this.#deps;
    let cursor: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { changeCursor, link } = this.#deps;
        if (this.#idle) {
          const { promise } = this.#resumed;
          await Promise.race([promise, aborted(signal)]);
          continue;
        }
        const mayAsk = changeCursor.cursor !== undefined && link()?.live;
        const start = performance.now();
        const answer = mayAsk ? await this.#ask(cursor, signal) : 'closed';
        failures = 0;
        if (answer === 'closed') await Promise.race([changeCursor.passEnded, pause(jittered(POLL_MS))]);
        else if (answer === undefined) this.#goIdle(false);
        else {
          const tookMs = performance.now() - start;
          const count = answer.blobs.length + (answer.deltas ?? []).length;
          const isIdle = count === 0 && answer.cursor === cursor;
          if (isIdle) this.#goIdle();
          cursor = answer.cursor;
          const added = await this.#enqueue(answer, signal);
          const ms = isIdle ? 0 : pace.after(tookMs, added > 0 ? 'new' : count > 0 ? 'known' : 'nothing');
          if (ms > 0) await pause(jittered(ms));
        }
      } catch (err) {
        if (signal.aborted) break;
        failures += 1;
        const ms = waitAfter(err, failures, PATIENT_BACKOFF);
        this.#deps.log.debug({ err, ms }, 'failed to poll the parent for arriving content; retrying');
        await pause(ms);
      }
    }
    this.#held.endWhere(() => true);
  }

  /** Whether the request for changes has to ask for arriving content, because this prefetcher sends no request. */
  get idle(): boolean {
    return this.#idle && this.#isSupported;
  }

  /** Ends the idle state: the parent may be receiving content now. */
  begin(): void {
    this.#idle = false;
    this.#resumed.resolve();
  }

  /** Calls `listener` when the prefetcher becomes idle, until the result is disposed of. */
  onIdle(listener: () => void): Disposable {
    this.#onIdle.add(listener);
    return { [Symbol.dispose]: () => this.#onIdle.delete(listener) };
  }

  #goIdle(isSupported = true): void {
    this.#resumed = Promise.withResolvers();
    this.#idle = true;
    this.#isSupported = isSupported;
    for (const listener of this.#onIdle) listener();
  }

  /** To be called when the parent or the selections may have changed. */
  reconfigured(): void {
    this.#waiting = [];
    this.#held.endWhere(() => true);
    this.#end.abort(new Error('the configuration has changed'));
    this.#end = new AbortController();
    this.begin();
  }

  /** @returns undefined if the parent does not report arriving blobs; `closed` if the request was aborted here */
  async #ask(cursor: string | undefined, signal: AbortSignal): Promise<Arriving | 'closed' | undefined> {
    const ended = this.#end.signal;
    using gate = new LinkGate(this.#deps.link, 'live');
    try {
      const { arriving } = await this.#deps.settings.clients();
      return await arriving.list(cursor, MAX_WAIT_S, AbortSignal.any([signal, ended, gate.signal]));
    } catch (error) {
      if ((gate.isClosed || ended.aborted) && !signal.aborted) return 'closed';
      throw error;
    }
  }

  /** @returns number of blobs that were added to the queue */
  async #enqueue(answer: Arriving, signal: AbortSignal): Promise<number> {
    const { connections, repositories } = this.#deps.settings.get();
    this.#pool.maxConnections = connections;
    const arrivals = arrivalsIn(answer).slice(0, MAX_WAITING);
    const arriving = new Set(arrivals.flatMap(({ digest, isBlob }) => (isBlob ? [digest] : [])));
    this.#held.endWhere((digest) => !arriving.has(digest));
    for (const digest of this.#running.digests)
      this.#deps.deltaPace?.prefetching(digest, !arriving.has(digest));
    const queued = new Set(this.#waiting.map(({ digest }) => digest));
    const isKnown = ({ digest }: Arrival) => queued.has(digest) || this.#running.has(digest);
    const mayBecomeDelta = ({ digest, deltas }: Arrival) =>
      deltas.length > 0 && (this.#held.has(digest) || this.#running.restOf(digest) !== undefined);
    const relevant = arrivals.filter(
      (arrival) =>
        (mayBecomeDelta(arrival) || !(isKnown(arrival) || this.#held.has(arrival.digest))) &&
        isImageSelected(selectionOf(repositories, arrival.repository), arrival.part),
    );
    if (relevant.length === 0) return 0;
    const missing = await this.#worth.missing(relevant, signal);
    const mayUse = (delta: HeldDelta) =>
      !this.#tried.has(delta.digest) &&
      this.#worth.isWorthTaking(delta) &&
      delta.from.every((base) => !missing.has(base));
    const absent = relevant.filter((arrival) => !isKnown(arrival) && missing.has(arrival.digest));
    const holdMs = await this.#worth.holdMs(absent, signal);
    const chosen = choosePulls(absent, mayUse, holdMs, (target) => this.#begun.has(target))
      .filter(({ pull }) => pull.delta !== undefined || !this.#held.has(pull.digest))
      .slice(0, Math.max(0, MAX_WAITING - this.#waiting.length));
    this.#held.endWhere((digest) => chosen.some(({ pull }) => pull.digest === digest));
    for (const { pull, afterMs } of chosen) if (afterMs > 0) this.#held.hold(pull, afterMs);
    this.#add(chosen.flatMap(({ pull, afterMs }) => (afterMs > 0 ? [] : [pull])));
    for (const arrival of relevant.filter(isKnown)) this.#offer(arrival, mayUse);
    return chosen.length;
  }

  #add(pulls: readonly Pull[]): void {
    this.#waiting = [...this.#waiting, ...pulls];
    this.#queued.resolve();
    this.#queued = Promise.withResolvers();
  }

  /** Has a blob that is pulled in full continue as the delta by which the parent gets it, if that brings it sooner. */
  #offer({ digest, repository, deltas }: Arrival, mayUse: (delta: HeldDelta) => boolean): void {
    const rest = this.#running.restOf(digest);
    const delta = rest && deltas.find(mayUse);
    if (!delta || !this.#worth.isWorthSwitching(rest, delta)) return;
    const { bus, by: syncer } = this.#deps;
    bus.publish(deltaOffered, { ...delta, repository, syncer });
  }

  /** A worker: pulls one blob at a time until `stopped` aborts. */
  async #work(stopped: AbortSignal, signal: AbortSignal): Promise<void> {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    if (stopped.aborted) return;
    stopped.addEventListener('abort', () => resolve(), { once: true });
    while (!stopped.aborted) {
      const next = this.#waiting.shift();
      if (!next) await Promise.race([ended, this.#queued.promise]);
      else if (!this.#running.has(next.digest)) {
        this.#running.begin(next);
        await this.#pool.job((aside) => this.#download(next, signal, aside));
        this.#running.end(next.digest);
        this.#deps.deltaPace?.prefetching(next.digest, false);
      }
    }
  }

  async #download({ part, delta, ...blob }: Pull, signal: AbortSignal, aside: Aside): Promise<void> {
    const { settings, applier, log } = this.#deps;
    const at = this.#deps.link();
    if (!at?.live) return;
    const { interrupted } = at;
    const until = at.until !== undefined && { until: at.until };
    const context = part && { imageContext: part };
    const job = { ...blob, direction: 'down' as const, pass: PASS, ...until, ...context };
    const deps = {
      ...this.#deps,
      parent: async () => (await settings.clients()).arriving.source(),
      deltas: async () => (await settings.clients()).deltas.source(),
      bandwidth: settings.bandwidth,
      slots: this.#pool.slots,
      signal: AbortSignal.any([signal, this.#end.signal, ...(interrupted ? [interrupted] : [])]),
    };
    if (delta) this.#tried.set(delta.digest, true);
    const pulled =
      delta && applier
        ? runDelta({ ...deps, applier, aside }, { ...job, delta })
        : runDownload({ ...deps, offered: this.#offered, aside }, job);
    const verdict = await pulled.catch((err) => log.error({ err, digest: blob.digest }, 'a prefetch failed'));
    if (!delta) return;
    const now = this.#deps.link();
    const isClosed = !now?.live || now.until !== at.until;
    const isKnown = verdict === 'done' && !deps.signal.aborted && !isClosed;
    if (isKnown) this.#begun.delete(blob.digest);
    else {
      this.#tried.delete(delta.digest);
      this.#begun.set(blob.digest, true);
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
