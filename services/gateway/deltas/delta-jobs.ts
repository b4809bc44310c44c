import type { Log } from '#proto/bus/bus.ts';
import type { EventListener, InvalidationListener, JobSubmitter } from '#proto/bus/roles.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { type Fault, fromWire } from '#proto/contract/fault.ts';
import { FORMAT } from '#proto/delta/format/header.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Digest } from '#proto/oci/names.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { type DeltaJob, deltaApplied, deltaFailed, deltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { Quota } from '../children/quota.ts';

/**
 * Deltas for the layers below: what crosses the link instead of a blob (proto/sync/delta-exchange.ts).
 *
 * A child that lacks blobs gets `QuestionAnswers`, which name the deltas that are here, and has syncers make those that
 * are worth it: `DeltaJobs` submits the jobs, bounds them and receives their outcome. `BaseRights` says which bases the
 * caller may pull. `DeltasAhead` has deltas made before a child asks. `PushedDeltas` applies those that a child pushes.
 */

/** Max jobs of each kind in its queue at a time, and max ones of one account. */
const MAX_PENDING = 500;
const MAX_PENDING_EACH = 16;
/** Max outcomes, and max targets of an account, that are remembered. */
const MAX_OUTCOMES = 2_000;
const MAX_TARGETS = 2_000;
/** Max sets of candidates that an account has tried for one target in this time, in ms. */
const MAX_VARIANTS = 3;
const VARIANTS_MS = 60 * 60_000;
/** How long a job is not submitted again after it was done, and after it failed, in ms. */
const DONE_MS = 60_000;
const FAILED_MS = 10 * 60_000;
/** A job is lost if no syncer has reported a delta for the time of one, and this much longer, in ms. */
const LOST_MS = 30_000;
/** A job is lost after this many times of one delta: the queue is longer than anyone waits. */
const MAX_TIMES = 4;
/** Max time for one delta while there is no configuration, in ms. */
const TIME_MS = 15 * 60_000;

/** Formats of the deltas that a layer of this configuration makes and applies; none while deltas are off. */
export const deltaFormats = (configuration: Configuration | undefined): number[] =>
  configuration?.delta?.mode === 'off' ? [] : [FORMAT];

/** Why a job failed, unless that is not known. */
export type JobOutcome = { state: 'done' } | { state: 'failed'; fault?: Fault };
/**
 * `pending`: in the queue, or in progress. `later`: too many of the account are; to be submitted again after the next
 * outcome of one. `full`: too many of all accounts are, or were for this target. An outcome: a recent one.
 */
export type JobState = { state: 'pending' | 'later' | 'full' } | JobOutcome;
export type OutcomeListener = (to: Digest, account: string | undefined) => void;

type Kind = DeltaJob['kind'];
type Pending = { id: string; job: DeltaJob; account: string; submittedAt: number; slot: Disposable };
type Variants = { ids: Set<string>; since: number };
type KnownOutcome = { outcome: JobOutcome; until: number };

export type DeltaJobsDeps = {
  bus: Pick<JobSubmitter, 'submit'> & EventListener & Pick<InvalidationListener, 'onGap'>;
  configuration: () => Configuration | undefined;
  log: Log;
  /** Elapsed time, in ms. */
  now?: () => number;
};

/**
 * Jobs of this gateway that make and apply deltas. A job has one outcome, by an event; it may be lost, and so may its
 * event. Of jobs that make a delta to the same target, one is in the queue at a time.
 */
export class DeltaJobs {
  readonly #deps: DeltaJobsDeps;
  readonly #now: () => number;
  readonly #quotas = { make: new Quota(MAX_PENDING), apply: new Quota(MAX_PENDING) };
  readonly #pending = new Map<string, Pending>();
  /** By the id of the job. */
  readonly #outcomes = new BoundedMap<KnownOutcome>(MAX_OUTCOMES);
  /** By account and target. */
  readonly #variants = new BoundedMap<Variants>(MAX_TARGETS);
  readonly #onOutcome = new Set<OutcomeListener>();
  /** When a syncer reported a delta last that it made, or applied. */
  readonly #reportedAt = { make: 0, apply: 0 };

  constructor(deps: DeltaJobsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
    const { bus } = deps;
    bus.listen(deltaMade, ({ data: { to, from } }) => {
      const isIts = ({ job }: Pending) =>
        job.kind === 'make' && from.every((digest) => job.candidates.includes(digest));
      this.#end('make', to, makeKey(to), { state: 'done' }, isIts);
    });
    bus.listen(deltaApplied, ({ data: { repository, to, digest } }) =>
      this.#end('apply', to, applyKey(repository, to, digest), { state: 'done' }),
    );
    bus.listen(deltaFailed, ({ data: { job: kind, jobId, to, code, reason } }) => {
      const failed: JobOutcome = { state: 'failed', fault: fromWire({ code, message: reason }) };
      const isIts = ({ id }: Pending) => id === jobId;
      const [key] = [...this.#pending].find(([, pending]) => isIts(pending)) ?? [''];
      this.#end(kind, to, key, failed, isIts);
    });
    // Their outcomes may be lost: who still waits for one submits it again, and a job is idempotent.
    bus.onGap(() => {
      for (const [key, pending] of this.#pending) this.#remove(key, pending);
    });
  }

  /** Whether deltas are made and applied here at all. */
  get isEnabled(): boolean {
    return this.formats.length > 0;
  }

  get formats(): number[] {
    return deltaFormats(this.#deps.configuration());
  }

  /** Number of jobs without an outcome, by reason. */
  countOf(reason: 'asked' | 'ahead'): number {
    this.#dropLost();
    return [...this.#pending.values()].filter(({ job }) => job.kind === 'make' && job.reason === reason)
      .length;
  }

  /** Calls `listener` after each outcome, with its target, and the account of the job that it ends. */
  onOutcome(listener: OutcomeListener): void {
    this.#onOutcome.add(listener);
  }

  /**
   * Submits the job, unless it is pending or had its outcome a while ago.
   * @param account of the caller, which bounds its jobs
   * @throws Fault `unavailable`
   */
  async submit(job: DeltaJob, account: string): Promise<JobState> {
    this.#dropLost();
    const key = keyOf(job);
    const id = deltaJobId(job);
    if (this.#pending.has(key)) return { state: 'pending' };
    const known = this.#outcomes.get(id);
    if (known && this.#now() < known.until) return known.outcome;
    const variants = this.#variantsOf(job, account);
    if (!variants.has(id) && variants.size >= MAX_VARIANTS) return { state: 'full' };
    const slot = this.#quotas[job.kind].take(account, MAX_PENDING_EACH);
    if (typeof slot === 'string') return { state: slot === 'each' ? 'later' : 'full' };
    // Before the wait, so that a concurrent request does not submit it, too, and no event is missed.
    variants.add(id);
    const pending = { id, job, account, submittedAt: this.#now(), slot };
    this.#pending.set(key, pending);
    try {
      await this.#submit(job);
    } catch (error) {
      if (this.#pending.get(key) === pending) this.#remove(key, pending);
      throw error;
    }
    const ended = this.#outcomes.get(id);
    return this.#pending.has(key) || !ended ? { state: 'pending' } : ended.outcome;
  }

  #submit(job: DeltaJob): Promise<void> {
    const { bus } = this.#deps;
    return job.kind === 'make' ? bus.submit(deltaJob.make, job) : bus.submit(deltaJob.apply, job);
  }

  #end(kind: Kind, to: Digest, key: string, outcome: JobOutcome, isIts = (_: Pending) => true): void {
    this.#reportedAt[kind] = this.#now();
    const pending = this.#pending.get(key);
    const ended = pending && isIts(pending) ? pending : undefined;
    if (ended) this.#settle(key, ended, outcome);
    for (const listener of this.#onOutcome) listener(to, ended?.account);
  }

  #settle(key: string, pending: Pending, outcome: JobOutcome): void {
    this.#remove(key, pending);
    const until = this.#now() + (outcome.state === 'done' ? DONE_MS : FAILED_MS);
    this.#outcomes.set(pending.id, { outcome, until });
  }

  #remove(key: string, { slot }: Pending): void {
    this.#pending.delete(key);
    slot[Symbol.dispose]();
  }

  #dropLost(): void {
    const timeMs = this.#deps.configuration()?.delta.timeMs ?? TIME_MS;
    const now = this.#now();
    for (const [key, pending] of this.#pending) {
      const { submittedAt, job } = pending;
      const idleMs = now - Math.max(submittedAt, this.#reportedAt[job.kind]);
      if (idleMs <= timeMs + LOST_MS && now - submittedAt <= MAX_TIMES * timeMs) continue;
      this.#settle(key, pending, { state: 'failed' });
      const { to } = job.kind === 'make' ? job : job.delta;
      this.#deps.log.warn({ to, kind: job.kind }, 'no syncer has reported the end of a job for a delta');
    }
  }

  /** Ids of the jobs for other candidates that this account has had for this target lately. */
  #variantsOf(job: DeltaJob, account: string): Set<string> {
    if (job.kind === 'apply') return new Set();
    const name = `${account} ${job.to}`;
    const known = this.#variants.get(name);
    if (known && this.#now() - known.since < VARIANTS_MS) return known.ids;
    const ids = new Set<string>();
    this.#variants.set(name, { ids, since: this.#now() });
    return ids;
  }
}

const makeKey = (to: Digest): string => `make ${to}`;
const applyKey = (repository: string, to: Digest, delta: string): string =>
  `apply ${repository} ${to} ${delta}`;

const keyOf = (job: DeltaJob): string =>
  job.kind === 'make' ? makeKey(job.to) : applyKey(job.repository, job.delta.to, job.delta.digest);
