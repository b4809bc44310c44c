import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { Arriving, ArrivingBlob } from '#proto/content/arriving.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { Digest } from '#proto/oci/names.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { ParentClients, Settings } from '../link/parent/settings.ts';
import type { ChangeCursor } from '../reconcile/observe/news.ts';
import { isWanted } from '../reconcile/pull/parts.ts';
import { selectionOf } from '../reconcile/select/patterns.ts';
import type { Link } from '../schedule/hours.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import { WorkerPool } from '../transfer/crew.ts';
import { Pace } from '../transfer/pace.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { transfer } from '../transfer/worker.ts';
import { AnswerPace } from './answer-pace.ts';
import { PATIENT, waitAfter } from './wait-after.ts';

/** How long the link is waited for before it is looked at again, and a parent that does not tell, in ms. */
const POLL_MS = 5_000;
/** What is smaller comes soon enough with the pass, in bytes. */
const MIN_BYTES = 256 * 1024;
/** Blobs that wait to be brought early: the pass brings what finds no room here. Storage is asked for as many. */
const MAX_WAITING = 1_000;
/** Instead of a pass, in the events of these transfers. */
const PASS = 'arriving';

export type PrefetcherDeps = {
  bus: Bus;
  volume: Volume;
  settings: Pick<Settings, 'get' | 'bandwidth'> & {
    clients(): Promise<Pick<ParentClients, 'arriving' | 'upward'>>;
  };
  /** A parent that does not tell its changes is not asked. */
  changeCursor: Pick<ChangeCursor, 'cursor' | 'turned'>;
  /** Undefined where there is no parent. */
  link: () => Link | undefined;
  /** This process, as the holder of claims. */
  by: string;
  activity: Pick<SyncerActivity, 'take'>;
  log: Log;
  pace?: Pick<AnswerPace, 'after'>;
};

/**
 * Brings what the parent is itself still receiving, as far as it is to come here too, so that it crosses the links of
 * several layers at the same time. Nothing depends on it: the pass that wants the content finds it here, whole or in
 * part, or brings it. The link is used as `follow` does, and what the parent tells is waited for in one request; while
 * nothing comes there, in none: who follows the changes hears when that ends.
 */
export class Prefetcher {
  readonly #deps: PrefetcherDeps;
  readonly #pool: WorkerPool;
  /** In the order in which the parent began them. */
  #waiting: ArrivingBlob[] = [];
  readonly #running = new Set<Digest>();
  #told = Promise.withResolvers<void>();
  /** Nothing comes at the parent, as far as it has told. */
  #idle = false;
  /** Unless it tells no such thing. */
  #asks = true;
  #called = Promise.withResolvers<void>();
  readonly #onIdle = new Set<() => void>();
  /** Ends all that is under way. */
  #end = new AbortController();

  constructor(deps: PrefetcherDeps) {
    this.#deps = deps;
    this.#pool = new WorkerPool(deps.log);
  }

  /** Goes on until the signal aborts, and ends when all that is under way has. */
  async follow(signal: AbortSignal): Promise<void> {
    await using pool = this.#pool;
    pool.start((stopped) => this.#work(AbortSignal.any([signal, stopped]), signal));
    const rest = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
    const { pace = new AnswerPace() } = this.#deps;
    let cursor: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { changeCursor, link } = this.#deps;
        if (this.#idle) {
          const { promise } = this.#called;
          await Promise.race([promise, aborted(signal)]);
          continue;
        }
        const asks = changeCursor.cursor !== undefined && link()?.live;
        const asked = performance.now();
        const told = asks ? await this.#ask(cursor, signal) : 'closed';
        failures = 0;
        if (told === 'closed') await Promise.race([changeCursor.turned, rest(jittered(POLL_MS))]);
        else if (told === undefined) this.#rest(false);
        else {
          const tookMs = performance.now() - asked;
          const isIdle = told.blobs.length === 0 && told.cursor === cursor;
          if (isIdle) this.#rest();
          cursor = told.cursor;
          const taken = await this.#take(told.blobs, signal);
          const ms = isIdle
            ? 0
            : pace.after(tookMs, taken > 0 ? 'new' : told.blobs.length > 0 ? 'known' : 'nothing');
          if (ms > 0) await rest(ms);
        }
      } catch (err) {
        if (signal.aborted) break;
        failures += 1;
        const ms = waitAfter(err, failures, PATIENT);
        this.#deps.log.debug({ err, ms }, 'the parent does not tell what comes; asking again');
        await rest(ms);
      }
    }
  }

  /** The parent is not asked what comes: who follows its changes is to be told of it. */
  get idle(): boolean {
    return this.#idle && this.#asks;
  }

  /** Something may come at the parent now. */
  begin(): void {
    this.#idle = false;
    this.#called.resolve();
  }

  /** Until it is disposed of. */
  onIdle(told: () => void): Disposable {
    this.#onIdle.add(told);
    return { [Symbol.dispose]: () => this.#onIdle.delete(told) };
  }

  #rest(asks = true): void {
    this.#called = Promise.withResolvers();
    this.#idle = true;
    this.#asks = asks;
    for (const told of this.#onIdle) told();
  }

  /** There may be another parent now, and other things to take from it. */
  reconfigured(): void {
    this.#waiting = [];
    this.#end.abort(new Error('the configuration has changed'));
    this.#end = new AbortController();
    this.begin();
  }

  /** @returns undefined where the parent does not tell */
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

  /** @returns how many of them are to come here, and were not known to be */
  async #take(blobs: ArrivingBlob[], signal: AbortSignal): Promise<number> {
    const { bus, settings } = this.#deps;
    const { connections, repositories } = settings.get();
    this.#pool.most = connections;
    const known = new Set([...this.#running, ...this.#waiting.map(({ digest }) => digest)]);
    const room = Math.max(0, MAX_WAITING - this.#waiting.length);
    const fresh = blobs
      .slice(0, MAX_WAITING)
      .filter(
        ({ digest, size, repository, part }) =>
          size >= MIN_BYTES && !known.has(digest) && isWanted(selectionOf(repositories, repository), part),
      )
      .slice(0, room);
    if (fresh.length === 0) return 0;
    const digests = fresh.map(({ digest }) => digest);
    const missing = new Set((await bus.call(missingBlobs, { digests }, { signal })).digests);
    const wanted = fresh.filter(({ digest }) => missing.has(digest));
    this.#waiting = [...this.#waiting, ...wanted];
    this.#told.resolve();
    this.#told = Promise.withResolvers();
    return wanted.length;
  }

  /** One after the other, until `stopped` aborts. */
  async #work(stopped: AbortSignal, signal: AbortSignal): Promise<void> {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    if (stopped.aborted) return;
    stopped.addEventListener('abort', () => resolve(), { once: true });
    while (!stopped.aborted) {
      const next = this.#waiting.shift();
      if (!next) await Promise.race([over, this.#told.promise]);
      else if (!this.#running.has(next.digest)) {
        this.#running.add(next.digest);
        await this.#pool.job(() => this.#bring(next, signal));
        this.#running.delete(next.digest);
      }
    }
  }

  async #bring({ attempt: _, ...blob }: ArrivingBlob, signal: AbortSignal): Promise<void> {
    const { settings, log } = this.#deps;
    const at = this.#deps.link();
    if (!at?.live) return;
    const until = at.until !== undefined && { until: at.until };
    const job = { ...blob, direction: 'down' as const, pass: PASS, ...until };
    const deps = {
      ...this.#deps,
      parent: async () => (await settings.clients()).arriving.source(),
      upward: async () => (await settings.clients()).upward,
      pace: new Pace(),
      bandwidth: settings.bandwidth,
      slots: this.#pool.slots,
      signal: AbortSignal.any([signal, this.#end.signal]),
    };
    await transfer(deps, job).catch((err) =>
      log.error({ err, digest: blob.digest }, 'an early transfer failed'),
    );
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
