import type { HeldDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Chunk } from '#proto/volume/chunk-log.ts';
import { Extents } from '../../link/answers/extents.ts';
import type { AppliedDelta, DeltaApplication, DeltaApplier } from '../../transfer/pieces/delta-applier.ts';
import { PieceWriter, type WriterDeps } from '../../transfer/pieces/piece-writer.ts';
import type { Content } from '../worker/task.ts';
import { type DeltaDeps, limitsOf } from './delta-deps.ts';
import { FairTurns } from './fair-turns.ts';
import { allLocatedBases, locatedDelta } from './located-content.ts';
import { type Outcome, runTask } from './run-task.ts';
import { openScratch } from './scratch-folder.ts';

/** Interval of syncs to disk, in ms: it bounds the loss of a power cut. */
const SYNC_MS = 2_000;

export type ApplicationDeps = Pick<DeltaDeps, 'bus' | 'data' | 'settings' | 'env' | 'log'>;

/** A delta and its bases, in the order of its header. */
export type LocatedDelta = { delta: Content; bases: Content[] };

/**
 * Applies deltas, one at a time, as memory is bounded: each in a process of its own, which passes on the bytes that it
 * makes. Those that this layer pulled and those that a child pushed have alternate turns. Where a delta is made
 * meanwhile and processors are few, the application has about nine tenths of the time, by its priority.
 */
export class DeltaApplications implements DeltaApplier {
  readonly #deps: ApplicationDeps;
  readonly #turns = new FairTurns();

  constructor(deps: ApplicationDeps) {
    this.#deps = deps;
  }

  async applyInto({ repository, delta, target, signal }: DeltaApplication): Promise<AppliedDelta> {
    const { bus, data } = this.#deps;
    using _turn = await this.#turns.take('pulled', signal);
    const located = {
      delta: await locatedDelta({ bus, data, repository }, delta.digest),
      bases: await allLocatedBases({ bus, data, repository }, delta.from),
    };
    const present = [...target.log.chunks];
    const writer = new PieceWriter(target, 0, new Extents(present), 'delta');
    try {
      await using _syncs = periodicSyncs(target);
      const { cpuMs, ms } = await this.#run(located, delta, signal, (bytes) => writer.add(bytes));
      await writer.end();
      return { hashed: present.length === 0 ? delta.to : undefined, cpuMs, ms };
    } catch (error) {
      // The reason of the failure comes first.
      await retain(target, writer, Fault.is(error, 'delta-invalid') ? present : undefined).catch(() => {});
      throw error;
    }
  }

  /**
   * Makes the target of a delta that a child pushed, when its turn comes.
   * @param onBytes receives all bytes of the target, in order
   * @throws Fault as `DeltaApplier`
   */
  async apply(
    located: LocatedDelta,
    delta: HeldDelta,
    signal: AbortSignal,
    onBytes: (bytes: Buffer) => Promise<void>,
  ): Promise<Outcome> {
    using _turn = await this.#turns.take('pushed', signal);
    return await this.#run(located, delta, signal, onBytes);
  }

  async #run(
    { delta, bases }: LocatedDelta,
    { to, toSize }: HeldDelta,
    signal: AbortSignal,
    onBytes: (bytes: Buffer) => Promise<void>,
  ): Promise<Outcome> {
    const { data, settings, env, log } = this.#deps;
    const target = { digest: to, size: toSize };
    const limits = limitsOf('apply', settings());
    const scratch = await openScratch(data);
    const outcome = await runTask(
      { kind: 'apply', delta, bases, target, scratch, limits },
      { env, signal, log, onBytes },
    );
    const { cpuMs, ms, memoryBytes } = outcome;
    log.debug({ to, delta: delta.digest, cpuMs, ms, memoryBytes }, 'a delta was applied');
    return outcome;
  }
}

/** @param present replaces the chunks of the log: what was written is wrong */
async function retain(
  { file, log }: WriterDeps,
  writer: PieceWriter,
  present: Chunk[] | undefined,
): Promise<void> {
  if (present) await log.replace(present);
  else await writer.end();
  await file.sync();
  await log.sync();
}

/** Syncs the bytes and their log to disk at times, and at the end. */
function periodicSyncs({ file, log }: WriterDeps): AsyncDisposable {
  let syncing = Promise.resolve();
  const sync = () => {
    syncing = syncing.then(() => file.sync()).then(() => log.sync());
    // A failure is passed on to the last sync, which is awaited.
    syncing.catch(() => {});
  };
  const timer = setInterval(sync, SYNC_MS);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      sync();
      await syncing;
    },
  };
}
