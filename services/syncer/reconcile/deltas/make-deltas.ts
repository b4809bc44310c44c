import { within } from '#proto/async/within.ts';
import type { EventListener } from '#proto/bus/roles.ts';
import { findDeltas, type HeldDelta } from '#proto/content/deltas.ts';
import type { Digest } from '#proto/oci/names.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { deltaFailed, deltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { type FoundDeltas, makeJobFor } from '#proto/sync/make-delta-job.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import { isWorthTaking, waitMs } from '../../delta/worth.ts';
import type { AskedDeltas, DeltaBases } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';

/** Interval between checks for deltas that are being made, in ms: an event may be lost. */
const POLL_MS = 5_000;

export type MakeDeltasDeps = Pick<PassTools, 'bus' | 'configuration' | 'signal'> & {
  parent: Pick<DeltaBases, 'roundTripMs'>;
  pace: Pick<DeltaPace, 'ofPushes'>;
};

/**
 * Has syncers of this layer make the deltas to the wanted blobs, of what the parent holds, and waits for each while it
 * is worth that. Those that are here are taken at once.
 * @param decide is called once for each wanted blob, with its delta if it has one that saves time
 */
export async function makeDeltas(
  deps: MakeDeltasDeps,
  question: AskedDeltas,
  decide: (to: Digest, delta: HeldDelta | undefined) => void,
): Promise<void> {
  const { bus, configuration, signal, parent, pace } = deps;
  const { mode, timeMs } = configuration.delta;
  const { repository, layers, held } = question;
  const waiting = new Map(question.wanted.map(({ digest, size }) => [digest, size]));
  using outcomes = new MakeOutcomes(bus, waiting);
  const end = (to: Digest, delta?: HeldDelta) => {
    waiting.delete(to);
    decide(to, delta);
  };
  const paceNow = () => pace.ofPushes(parent.roundTripMs);
  const begun = performance.now();
  let lastAt = begun;
  const leftMs = () => {
    const now = performance.now();
    const waited = { ms: now - begun, idleMs: now - lastAt };
    return waitMs(mode, paceNow(), [...waiting.values()], waited, { maxMs: timeMs });
  };
  const take = async (): Promise<FoundDeltas> => {
    const query = { repository, wanted: [...waiting.keys()], held: [...new Set(held.flat())] };
    const found = await bus.call(findDeltas, query, { signal });
    for (const [to, size] of waiting) {
      const [delta] = found.deltas.filter((one) => one.to === to).toSorted((a, b) => a.size - b.size);
      if (!delta) continue;
      lastAt = performance.now();
      end(to, isWorthTaking(mode, paceNow(), size, delta.size) ? delta : undefined);
    }
    return found;
  };
  const found = await take();
  /** Targets, by the id of the job. */
  const submitted = new Map<string, Digest>();
  if (leftMs() > 0) {
    for (const [to, toSize] of waiting) {
      const target = { repository, to, toSize, reason: 'push' as const };
      const job = makeJobFor(target, { layers, held }, found, () => true);
      if (job) {
        submitted.set(deltaJobId(job), to);
        await bus.submit(deltaJob.make, job);
      } else end(to);
    }
  }
  while (leftMs() > 0) {
    await outcomes.next(Math.min(leftMs(), POLL_MS), signal);
    await take();
    for (const [id, to] of submitted) if (outcomes.failed.has(id) && waiting.has(to)) end(to);
  }
  for (const to of waiting.keys()) end(to);
}

/** Outcomes of jobs for these targets, as syncers report them. */
class MakeOutcomes implements Disposable {
  /** Ids of jobs. */
  readonly failed = new Set<string>();
  readonly #unlisten: (() => void)[];
  #changed = Promise.withResolvers<void>();

  constructor(bus: EventListener, targets: ReadonlyMap<Digest, unknown>) {
    const onOutcome = (to: Digest) => targets.has(to) && this.#changed.resolve();
    this.#unlisten = [
      bus.listen(deltaMade, ({ data }) => void onOutcome(data.to)),
      bus.listen(deltaFailed, ({ data: { job, jobId, to } }) => {
        if (job !== 'make' || jobId === undefined || !targets.has(to)) return;
        this.failed.add(jobId);
        onOutcome(to);
      }),
    ];
  }

  /** Resolves after the next outcome since the last call, or after `ms`. @throws the reason of `signal` */
  async next(ms: number, signal: AbortSignal): Promise<void> {
    await within(this.#changed.promise, ms, signal);
    this.#changed = Promise.withResolvers();
  }

  [Symbol.dispose](): void {
    for (const stop of this.#unlisten) stop();
  }
}
