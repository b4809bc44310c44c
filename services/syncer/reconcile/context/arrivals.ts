import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { Fault, fromWire } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import {
  type Direction,
  type TransferJob,
  transferBlob,
  transferFailed,
  transferFinished,
  transferPaused,
} from '#proto/sync/transfers.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';

type Wanted = Pick<TransferJob, 'repository' | 'digest' | 'size' | 'part'>;
type Waiting = {
  job: TransferJob;
  /** How often it was wished for again. */
  requests: number;
  arrived: () => void;
  failed: (fault: Fault) => void;
  result: Promise<void>;
};

/** How often storage is asked for what no event has told, in ms. */
const POLL_MS = 5_000;
/** How often a wish is made again that neither the queue nor storage knows of. */
const MAX_REQUESTS = 5;

/** Repositories that a job names for mounting. */
const MAX_FROM = 10;

/** What comes here is wanted once for all repositories, what goes up once for each of them. */
const keyOf = ({ direction, repository, digest }: Omit<TransferJob, 'pass' | 'size'>): string =>
  direction === 'down' ? digest : `${repository}!${digest}`;

/**
 * Wishes for blobs to go over the link, either way, and waits for them. Events tell at once when one has gone or
 * failed; an event may be lost, so storage is asked now and then for what was to come; and a queue that was lost is
 * filled again, whereupon whoever takes the job looks what is there.
 */
export class Arrivals implements Disposable {
  readonly #bus: FencedBus;
  readonly #log: Log;
  readonly #pass: string;
  readonly #signal: AbortSignal;
  readonly #until: number | undefined;
  readonly #waiting = new Map<string, Waiting>();
  /** Which repository each blob is being sent to. */
  readonly #sending = new Map<Digest, Waiting>();
  readonly #ends: (() => void)[];

  /** @param until when the window closes: no transfer goes on then, and none is begun */
  constructor(bus: FencedBus, log: Log, pass: string, signal: AbortSignal, until?: number) {
    this.#bus = bus;
    this.#log = log;
    this.#pass = pass;
    this.#signal = signal;
    this.#until = until;
    const fail = (data: Omit<TransferJob, 'size'>, fault: Fault) => {
      if (data.pass === this.#pass) this.#waiting.get(keyOf(data))?.failed(fault);
    };
    this.#ends = [
      bus.listen(transferFinished, ({ data }) => this.#waiting.get(keyOf(data))?.arrived()),
      bus.listen(transferFailed, ({ data }) => {
        const { code, reason: message, status } = data;
        fail(data, fromWire({ code, message, ...(status !== undefined && { detail: { status } }) }));
      }),
      bus.listen(transferPaused, ({ data }) => {
        fail(data, new Fault('window-closed', `${data.digest} goes on when the window opens again`));
      }),
    ];
    const abort = () => {
      for (const { failed } of this.#waiting.values()) failed(new Fault('unavailable', 'the pass was ended'));
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#ends.push(() => signal.removeEventListener('abort', abort));
    void this.#look();
  }

  /** Resolves when the blob is committed; several may wait for the same. @throws Fault where its transfer failed */
  async bring(wanted: Wanted): Promise<void> {
    // Nobody would end the wait: the abort has been told.
    this.#signal.throwIfAborted();
    const known = this.#waiting.get(keyOf({ ...wanted, direction: 'down' }));
    if (known) {
      return known.result.catch((fault) => {
        // What one repository does not give, another one may.
        const own = known.job.repository === wanted.repository;
        if (own || !Fault.is(fault, 'blob-unknown', 'parent-refused')) throw fault;
        return this.bring(wanted);
      });
    }
    return this.#await({ ...wanted, direction: 'down' });
  }

  /**
   * Resolves when the parent has the blob in this repository. One that is on its way to another repository is waited
   * for, and mounted from there.
   * @param wanted `from`: where else the parent may have it; `again`: although it says that it has it
   * @throws Fault where the transfer failed, with `detail.status` where the parent refused it
   */
  async send(wanted: Wanted & { from?: Repository[]; again?: boolean }): Promise<void> {
    this.#signal.throwIfAborted();
    const { repository, digest, from = [] } = wanted;
    const known = this.#waiting.get(keyOf({ ...wanted, direction: 'up' }));
    if (known) return known.result;
    const first = this.#sending.get(digest);
    if (first) {
      const there = first.job.repository;
      const sent = await first.result.then(
        () => true,
        () => false,
      );
      const others = from.filter((name) => name !== there && name !== repository);
      return this.send({ ...wanted, from: sent ? [there, ...others] : from });
    }
    return this.#await({ ...wanted, direction: 'up', from: from.slice(0, MAX_FROM) });
  }

  async #await(wanted: Omit<TransferJob, 'pass' | 'until'>): Promise<void> {
    const until = this.#until;
    const job: TransferJob = { ...wanted, pass: this.#pass, ...(until !== undefined && { until }) };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const end = () => {
      this.#waiting.delete(keyOf(job));
      if (this.#sending.get(job.digest) === waiting) this.#sending.delete(job.digest);
    };
    const waiting: Waiting = {
      job,
      requests: 0,
      result: promise,
      arrived: () => {
        end();
        resolve();
      },
      failed: (fault) => {
        end();
        reject(fault);
      },
    };
    this.#waiting.set(keyOf(job), waiting);
    if (job.direction === 'up') this.#sending.set(job.digest, waiting);
    await this.#passRequest(job);
    return promise;
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
    this.#ends.length = 0;
  }

  /** A wish that the queue does not take now is made again by `#look`. */
  async #passRequest(job: TransferJob): Promise<void> {
    await this.#bus
      .submit(transferBlob[job.direction], job)
      .catch((err) => this.#log.warn({ err }, 'the queue takes no jobs'));
  }

  async #look(): Promise<void> {
    const idle = { down: 0, up: 0 };
    while (this.#ends.length > 0 && !this.#signal.aborted) {
      await sleep(POLL_MS, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      if (this.#waiting.size === 0) continue;
      try {
        await this.#lookHere();
        for (const direction of ['down', 'up'] as const) {
          const empty = (await this.#bus.backlog(direction)) === 0;
          idle[direction] = empty ? idle[direction] + 1 : 0;
          // Twice in a row: between two looks a job may have been taken, done and told.
          if (idle[direction] >= 2) await this.#again(direction);
        }
      } catch (err) {
        this.#log.debug({ err }, 'storage or the queue can not be asked now');
      }
    }
  }

  async #lookHere(): Promise<void> {
    const coming = [...this.#waiting.values()].filter(({ job }) => job.direction === 'down').slice(0, 1_000);
    if (coming.length === 0) return;
    const digests = coming.map(({ job }) => job.digest);
    const missing = new Set((await this.#bus.call(missingBlobs, { digests })).digests);
    for (const { job, arrived } of coming) if (!missing.has(job.digest)) arrived();
  }

  async #again(direction: Direction): Promise<void> {
    const waiting = [...this.#waiting.values()].filter(({ job }) => job.direction === direction);
    if (waiting.length === 0) return;
    this.#log.warn({ blobs: waiting.length }, 'the queue has lost jobs');
    for (const one of waiting) {
      one.requests += 1;
      if (one.requests > MAX_REQUESTS)
        one.failed(new Fault('unavailable', `nobody brings ${one.job.digest}`));
      else await this.#passRequest(one.job);
    }
  }
}
