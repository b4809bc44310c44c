import type { JobVerdict } from '#proto/bus/bus.ts';
import { type DeltaRecord, findDeltas, MAX_BASES } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { MakeJob } from '#proto/sync/delta-jobs.ts';
import { PATIENCE } from '../../transfer/steps.ts';
import type { Content, MakeTask } from '../worker/task.ts';
import { type DeltaDeps, limitsOf } from './delta-deps.ts';
import { ingest } from './delta-ingest.ts';
import { locatedBases, locatedBlob } from './located-content.ts';
import { firstOf, isSameSet, MakeEnd, poor } from './make-end.ts';
import { type Outcome, runTask } from './run-task.ts';
import { openScratch } from './scratch-folder.ts';
import { openSketches } from './sketch-folder.ts';

/** A delta that has more than this share of its target's bytes is not worth its cost. */
const MAX_SHARE = 0.85;

/** Makes deltas, unless they are here or were refused. Only one that was applied, with the right digest, is kept. */
export class DeltaMaker {
  readonly #deps: DeltaDeps;
  readonly #end: MakeEnd;

  constructor(deps: DeltaDeps) {
    this.#deps = deps;
    this.#end = new MakeEnd(deps);
  }

  /** Publishes how the job ended. @throws the reason of `signal`: nothing is left of the job then */
  async make(job: MakeJob, signal: AbortSignal): Promise<JobVerdict> {
    try {
      await this.#make(job, signal);
      return 'done';
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return await this.#end.failed(job, error);
    }
  }

  async #make(job: MakeJob, signal: AbortSignal): Promise<void> {
    const { bus, data } = this.#deps;
    const { repository, to, candidates } = job;
    const query = { repository, wanted: [to], held: candidates };
    const { deltas, refused } = await bus.call(findDeltas, query, PATIENCE);
    const here = deltas.find(({ format }) => format === DELTA_FORMAT);
    if (here) return this.#end.made(job, here, 0);
    const tried = refused.filter(({ format }) => format === DELTA_FORMAT).map(({ from }) => from);
    if (tried.some((from) => isSameSet(from, firstOf(candidates)))) throw poor(job);
    const target = await locatedBlob({ bus, data, repository }, to);
    const located = await locatedBases({ bus, data, repository }, candidates);
    if (located.length === 0) throw new Fault('blob-unknown', 'none of the bases is here');
    const outcome = await this.#run(job, { target, candidates: located, refused: tried }, signal);
    if (outcome.kind === 'poor') return this.#end.poor(job, outcome);
    if (outcome.kind === 'wrong') return this.#end.wrong(job, outcome);
    const { digest, size, cpuMs } = outcome;
    this.#deps.counters.made(target.size, size, cpuMs);
    this.#end.made(job, { ...recordOf(outcome, target), digest, size }, outcome.ms);
  }

  /** A delta that was made is committed when this resolves. */
  async #run(
    { repository }: MakeJob,
    content: Pick<MakeTask, 'target' | 'candidates' | 'refused'>,
    signal: AbortSignal,
  ): Promise<MakeOutcome> {
    const { data, settings, env, log } = this.#deps;
    const { target } = content;
    const task: MakeTask = {
      kind: 'make',
      ...content,
      sketches: await openSketches(data),
      maxBases: MAX_BASES,
      maxShare: MAX_SHARE,
      scratch: await openScratch(data),
      limits: limitsOf('make', settings()),
    };
    const { outcome } = await ingest(this.#deps, repository, signal, async (onBytes, claimed) => {
      const outcome = (await runTask(task, { env, signal: claimed, log, onBytes })) as MakeOutcome;
      if (outcome.kind !== 'made') return { outcome, commit: undefined };
      const { digest, size } = outcome;
      return { outcome, commit: { digest, size, delta: recordOf(outcome, target) } };
    });
    const { kind, from, cpuMs, ms, memoryBytes } = outcome;
    const text = kind === 'made' ? 'delta made' : 'no delta: the content itself crosses the link';
    log.info({ to: target.digest, from, kind, cpuMs, ms, memoryBytes }, text);
    return outcome;
  }
}

type MakeOutcome = Exclude<Outcome, { kind: 'applied' }>;
type Made = Extract<MakeOutcome, { kind: 'made' }>;

function recordOf({ from, format, deltaKind: kind, cpuMs }: Made, target: Content): DeltaRecord {
  return { to: target.digest, toSize: target.size, from, format, kind, cpuMs };
}
