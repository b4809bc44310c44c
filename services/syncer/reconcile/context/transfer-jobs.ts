import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { Fault, fromWire } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import {
  type Direction,
  MAX_GROUPED_BYTES,
  type TransferJob,
  transferBlob,
  transferFailed,
  transferFinished,
  transferPaused,
} from '#proto/sync/transfers.ts';
import { traceField } from '#proto/tracing/traced.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { TransferGroups } from './transfer-groups.ts';

type Wanted = Pick<TransferJob, 'repository' | 'digest' | 'size' | 'imageContext' | 'delta' | 'frames'>;
type Waiting = {
  job: TransferJob;
  /** Number of times that the job was submitted again. */
  requests: number;
  finished: () => void;
  failed: (fault: Fault) => void;
  result: Promise<void>;
};

/** Poll interval of storage and queue, in ms: an event may be lost. */
const POLL_MS = 5_000;
/** Max resubmissions of a job that the queue lost. */
const MAX_REQUESTS = 5;

/** Max repositories in a job from which the blob may be mounted. */
const MAX_FROM = 10;

/** A blob is downloaded once for all repositories, and uploaded once for each. */
type Key = Pick<TransferJob, 'direction' | 'repository' | 'digest'>;
const keyOf = ({ direction, repository, digest }: Key): string =>
  direction === 'down' ? digest : `${repository}!${digest}`;

/**
 * Submits transfer jobs for blobs, in either direction, and waits for their results. Events report success and failure.
 * Since an event may be lost, storage is polled for downloads. If the queue is lost, its jobs are submitted again; a
 * job is idempotent, since the syncer that takes it first checks which bytes exist.
 */
export class TransferJobs implements Disposable {
  readonly #bus: FencedBus;
  readonly #log: Log;
  readonly #pass: string;
  readonly #signal: AbortSignal;
  readonly #until: number | undefined;
  readonly #retryRefused: boolean;
  readonly #waiting = new Map<string, Waiting>();
  /** The running upload of each blob. */
  readonly #uploads = new Map<Digest, Waiting>();
  readonly #cleanups: (() => void)[];
  readonly #groups = new TransferGroups((job) => void this.#submit(job));

  /**
   * @param until when the window closes: transfers end then, and none begins later
   * @param retryRefused blobs that the parent refused in every way of sending are sent again
   */
  constructor(
    bus: FencedBus,
    log: Log,
    pass: string,
    signal: AbortSignal,
    until?: number,
    retryRefused = false,
  ) {
    this.#bus = bus;
    this.#log = log;
    this.#pass = pass;
    this.#signal = signal;
    this.#until = until;
    this.#retryRefused = retryRefused;
    const fail = (data: Key & { pass: string }, fault: Fault) => {
      if (data.pass === this.#pass) this.#waiting.get(keyOf(data))?.failed(fault);
    };
    this.#cleanups = [
      bus.listen(transferFinished, ({ data }) => this.#waiting.get(keyOf(data))?.finished()),
      bus.listen(transferFailed, ({ data }) => {
        const { code, reason: message, status } = data;
        fail(data, fromWire({ code, message, ...(status !== undefined && { detail: { status } }) }));
      }),
      bus.listen(transferPaused, ({ data }) => {
        fail(data, new Fault('window-closed', `${data.digest} continues when the window opens`));
      }),
    ];
    const abort = () => {
      this.#groups.clear();
      for (const { failed } of this.#waiting.values()) failed(new Fault('unavailable', 'the pass ended'));
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#cleanups.push(() => signal.removeEventListener('abort', abort));
    void this.#poll();
  }

  /** Resolves when the blob is committed; several calls may wait for one blob. @throws Fault if its transfer failed */
  async download(wanted: Wanted): Promise<void> {
    // After the abort event, nothing would end the wait.
    this.#signal.throwIfAborted();
    const known = this.#waiting.get(keyOf({ ...wanted, direction: 'down' }));
    if (known) {
      return known.result.catch((fault) => {
        // Another repository of the parent may still have the blob.
        const isSameRepository = known.job.repository === wanted.repository;
        if (isSameRepository || !Fault.is(fault, 'blob-unknown', 'parent-refused')) throw fault;
        return this.download(wanted);
      });
    }
    return this.#await({ ...wanted, direction: 'down' });
  }

  /**
   * Resolves when the parent has the blob in this repository. If an upload of the blob to another repository is
   * running, this one waits for it and mounts the blob from there.
   * @param wanted `from`: other repositories of the parent that may have it; `resend`: push it although the parent
   * claims to have it
   * @throws Fault if the transfer failed; `detail.status` if the parent refused it
   */
  async upload(wanted: Wanted & { from?: Repository[]; resend?: boolean }): Promise<void> {
    this.#signal.throwIfAborted();
    const { repository, digest, from = [] } = wanted;
    const known = this.#waiting.get(keyOf({ ...wanted, direction: 'up' }));
    if (known) return known.result;
    const first = this.#uploads.get(digest);
    if (first) {
      const source = first.job.repository;
      const sent = await first.result.then(
        () => true,
        () => false,
      );
      const others = from.filter((name) => name !== source && name !== repository);
      return this.upload({ ...wanted, from: sent ? [source, ...others] : from });
    }
    const retryRefused = this.#retryRefused && { retryRefused: true };
    return this.#await({ ...wanted, ...retryRefused, direction: 'up', from: from.slice(0, MAX_FROM) });
  }

  async #await(wanted: Omit<TransferJob, 'pass' | 'until'>): Promise<void> {
    const until = this.#until;
    const job: TransferJob = {
      ...wanted,
      pass: this.#pass,
      ...(until !== undefined && { until }),
      ...traceField(),
    };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const end = () => {
      this.#waiting.delete(keyOf(job));
      if (this.#uploads.get(job.digest) === waiting) this.#uploads.delete(job.digest);
    };
    const waiting: Waiting = {
      job,
      requests: 0,
      result: promise,
      finished: () => {
        end();
        resolve();
      },
      failed: (fault) => {
        end();
        reject(fault);
      },
    };
    this.#waiting.set(keyOf(job), waiting);
    if (job.direction === 'up') this.#uploads.set(job.digest, waiting);
    if (job.direction === 'down' && job.size <= MAX_GROUPED_BYTES) this.#groups.add(job);
    else {
      // The small blobs of an image go first.
      this.#groups.flush();
      await this.#submit(job);
    }
    return promise;
  }

  [Symbol.dispose](): void {
    for (const cleanup of this.#cleanups) cleanup();
    this.#cleanups.length = 0;
    this.#groups.clear();
  }

  /** A job that the queue does not accept now is submitted again by `#poll`. */
  async #submit(job: TransferJob): Promise<void> {
    await this.#bus
      .submit(transferBlob[job.direction], job)
      .catch((err) => this.#log.warn({ err }, 'the queue accepts no jobs; retrying'));
  }

  async #poll(): Promise<void> {
    const idle = { down: 0, up: 0 };
    while (this.#cleanups.length > 0 && !this.#signal.aborted) {
      await sleep(POLL_MS, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      if (this.#waiting.size === 0) continue;
      try {
        await this.#pollStorage();
        for (const direction of ['down', 'up'] as const) {
          const empty = (await this.#bus.backlog(direction)) === 0;
          idle[direction] = empty ? idle[direction] + 1 : 0;
          // Only after two empty polls: between the requests of one, a job may be taken, done and reported.
          if (idle[direction] >= 2) await this.#resubmit(direction);
        }
      } catch (err) {
        this.#log.debug({ err }, 'storage or the queue does not answer; retrying');
      }
    }
  }

  async #pollStorage(): Promise<void> {
    const downloads = [...this.#waiting.values()]
      .filter(({ job }) => job.direction === 'down')
      .slice(0, 1_000);
    if (downloads.length === 0) return;
    const digests = downloads.map(({ job }) => job.digest);
    const missing = new Set((await this.#bus.call(missingBlobs, { digests })).digests);
    for (const { job, finished } of downloads) if (!missing.has(job.digest)) finished();
  }

  async #resubmit(direction: Direction): Promise<void> {
    const waiting = [...this.#waiting.values()].filter(({ job }) => job.direction === direction);
    if (waiting.length === 0) return;
    this.#log.warn({ blobs: waiting.length }, 'the queue lost jobs; submitting them again');
    for (const entry of waiting) {
      entry.requests += 1;
      if (entry.requests > MAX_REQUESTS)
        entry.failed(new Fault('unavailable', `no syncer transfers ${entry.job.digest}`));
      else await this.#submit(entry.job);
    }
  }
}
