import type { JobVerdict } from '#proto/bus/bus.ts';
import { type HeldDelta, MAX_BASES, type RefusedDelta, refuseDelta } from '#proto/content/deltas.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault, toWire } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { Digest } from '#proto/oci/names.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { deltaFailed, deltaMade, deltaMismatched, type MakeJob } from '#proto/sync/delta-jobs.ts';
import { isTransient } from '../../link/answers/answers.ts';
import { PATIENCE } from '../../transfer/steps.ts';
import type { DeltaDeps } from './delta-deps.ts';

type EndDeps = Pick<DeltaDeps, 'bus' | 'counters' | 'by' | 'log'>;
type Cost = { from: Digest[]; cpuMs: number };

/** Crashes of its process after which a pair is not tried again. */
const MAX_CRASHES = 2;
/** Attempts of a job that what passes by itself has ended, such as a restart of storage. */
const MAX_INTERRUPTED = 6;
/** Delay of a job that is repeated, in ms: memory may be short for a moment, or storage starts again. */
const REPEAT_MS = 2_000;
/** Targets of which crashes, and interruptions, are counted. */
const MAX_COUNTED = 1_000;

/** How a job that makes a delta ends: what is published, counted, and not tried again. */
export class MakeEnd {
  readonly #deps: EndDeps;
  /** By target. */
  readonly #crashes = new BoundedMap<number>(MAX_COUNTED);
  readonly #interrupted = new BoundedMap<number>(MAX_COUNTED);

  constructor(deps: EndDeps) {
    this.#deps = deps;
  }

  /** @param ms elapsed time */
  made(job: MakeJob, { from, digest, size, kind, cpuMs }: HeldDelta, ms: number): void {
    this.#interrupted.delete(job.to);
    this.#deps.bus.publish(deltaMade, { ...this.#about(job), from, digest, size, kind, cpuMs, ms });
  }

  /** @param size of the delta; undefined: none was made */
  async poor(job: MakeJob, { from, cpuMs, size }: Cost & { size?: number }): Promise<void> {
    this.#deps.counters.poor(cpuMs);
    await this.#refuse(job, from, 'poor');
    this.#publishFailed(job, poor(job, size));
  }

  /** The delta makes other bytes than the target. */
  async wrong(job: MakeJob, { from, cpuMs }: Cost): Promise<void> {
    const { counters, bus, log } = this.#deps;
    counters.mismatched('make', cpuMs);
    log.error({ to: job.to, from }, 'a delta makes other bytes than its target: please report this');
    await this.#refuse(job, from, 'wrong');
    bus.publish(deltaMismatched, { ...this.#about(job), from });
    this.#publishFailed(job, new Fault('delta-invalid', 'the delta makes other bytes than its target'));
  }

  /** Publishes nothing if the job is to be repeated. */
  async failed(job: MakeJob, error: unknown): Promise<JobVerdict> {
    const { counters, log } = this.#deps;
    const { to } = job;
    const { code, message, detail = {} } = toWire(error);
    const fault = Fault.is(error) ? error : new Fault('internal', message);
    if (!Fault.is(error)) log.error({ err: error, to }, 'a delta could not be made');
    const wouldFailAgain = this.#wouldFailAgain(job, fault);
    if (detail.crashed === true && !wouldFailAgain) {
      log.warn({ to, code, reason: message }, 'the process that makes a delta crashed; retrying');
      return { retryMs: REPEAT_MS };
    }
    if (detail.crashed !== true && isTransient(fault) && this.#mayRepeat(job)) {
      log.warn({ to, code, reason: message }, 'making a delta was interrupted; retrying');
      return { retryMs: REPEAT_MS };
    }
    if (detail.poor !== true) {
      counters.failed('make', code);
      log.warn({ to, code, reason: message }, 'no delta was made');
      const { from } = detail;
      if (wouldFailAgain) await this.#refuse(job, Array.isArray(from) ? from : [], 'poor');
    }
    this.#publishFailed(job, fault);
    return 'done';
  }

  #wouldFailAgain({ to }: MakeJob, fault: Fault): boolean {
    if (fault.detail?.crashed !== true) return Fault.is(fault, 'too-large', 'too-slow', 'unsupported');
    const crashes = (this.#crashes.get(to) ?? 0) + 1;
    this.#crashes.set(to, crashes);
    return crashes >= MAX_CRASHES;
  }

  #mayRepeat({ to }: MakeJob): boolean {
    const interrupted = (this.#interrupted.get(to) ?? 0) + 1;
    this.#interrupted.set(to, interrupted % MAX_INTERRUPTED);
    return interrupted < MAX_INTERRUPTED;
  }

  /** @param from none if no base was chosen */
  async #refuse({ to, candidates }: MakeJob, from: Digest[], reason: RefusedDelta['reason']): Promise<void> {
    const pair = { to, from: from.length > 0 ? from : firstOf(candidates), format: DELTA_FORMAT, reason };
    await this.#deps.bus.call(refuseDelta, pair, PATIENCE);
  }

  #publishFailed(job: MakeJob, { code, message: reason, detail }: Fault): void {
    const isPoor = detail?.poor === true && { poor: true };
    const failed = { job: 'make' as const, jobId: deltaJobId(job), ...isPoor, code, reason };
    this.#deps.bus.publish(deltaFailed, { ...this.#about(job), ...failed });
  }

  #about({ repository, to, toSize }: MakeJob) {
    return { repository, to, toSize, syncer: this.#deps.by };
  }
}

/** @param size of the delta; undefined: none was made */
export function poor({ toSize }: MakeJob, size?: number): Fault {
  const reason =
    size === undefined
      ? 'no base is like the target'
      : `the delta has ${formatBytes(size)}, the target ${formatBytes(toSize)}`;
  return new Fault('too-large', `${reason}: it crosses the link in full`, { detail: { poor: true } });
}

/** The bases that a refusal names if none was chosen. */
export const firstOf = (candidates: readonly Digest[]): Digest[] => candidates.slice(0, MAX_BASES);

export const isSameSet = (one: readonly Digest[], other: readonly Digest[]): boolean =>
  one.length === other.length && one.every((digest) => other.includes(digest));
