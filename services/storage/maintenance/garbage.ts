import { type Collected, type Garbage, garbageCollected } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import { byAccount } from '../audit/caller-context.ts';
import type { ContentCollector } from '../content/content-store.ts';
import { DigestSet } from './digest-set.ts';
import { explainHeld } from './explain.ts';
import type { GarbageRules, Sweep, SweepDeps, SweepResult } from './sweep.ts';
import { MAX_SLICE, sweepContent } from './sweep-content.ts';
import { sweepDeltas } from './sweep-deltas.ts';
import { emptyQuarantine, sweepStrays } from './sweep-files.ts';
import { sweepLinks } from './sweep-links.ts';
import { sweepSessions } from './sweep-sessions.ts';

/*
 * Maintenance: garbage collection and scrub, each on a schedule (schedules.ts) or on request.
 *
 *   garbage.ts         one collection; sweep.ts has the context that its steps share
 *   sweep-links.ts     links that no manifest of the repository names; empty repositories
 *   sweep-deltas.ts    deltas to blobs that are not here any more
 *   sweep-sessions.ts  uploads at the parent of deltas that are not here any more
 *   sweep-content.ts   blobs that no link, no manifest and no delta names
 *   sweep-files.ts     files without a record; quarantined files
 *   explain.ts         what is left, for which reason and until when; explain-names.ts has content that manifests name,
 *                      explain-files.ts files of ingests, quarantine and backups, held-totals.ts the counts
 *   scrub.ts           compares committed files with their digests and quarantines damaged ones
 *
 * A collection runs concurrently with all requests. It has `Grace` note what is asked for, reads all names of content
 * once (digest-set.ts), and removes under a lock what nothing names, unless it was asked for since. A dry run only
 * counts. Time grows with the number of records, memory by at most 32 bytes for each name.
 */

/** `explain`: also says what is left, and why. `endsGrace`: deletes what its grace alone protects. */
export type CollectOptions = { explain?: boolean; endsGrace?: boolean };

/**
 * Deletes everything that nothing needs, while requests continue. A link stays if a manifest of its repository names
 * it, content stays if any link or manifest names it; grace protects either without that. Everything that a manifest
 * names stays, whether or not a tag points to the manifest.
 */
export class GarbageCollector implements ContentCollector {
  readonly #deps: SweepDeps;
  readonly #data: string;
  readonly #rules: () => GarbageRules;
  readonly #maxSlice: number;
  readonly #abort = new AbortController();
  #running = false;

  /**
   * @param rules the current ones, read once per collection
   * @param maxSlice blobs that are compared with all names at a time
   */
  constructor(deps: SweepDeps, data: string, rules: () => GarbageRules, maxSlice = MAX_SLICE) {
    this.#deps = deps;
    this.#data = data;
    this.#rules = rules;
    this.#maxSlice = maxSlice;
  }

  /** @throws Fault `busy` if one is in progress */
  async collect(
    dryRun: boolean,
    { explain = false, endsGrace = false }: CollectOptions = {},
  ): Promise<Collected> {
    if (this.#running) throw new Fault('busy', 'a garbage collection is already running: wait until it ends');
    this.#running = true;
    const summaryOf = ({ links, blobs, bytes, ingests }: Garbage) => ({ links, blobs, bytes, ingests });
    try {
      if (dryRun) return await this.#collect(true, { explain, endsGrace });
      const { audit } = this.#deps;
      const collect = () => this.#collect(false, { explain, endsGrace });
      const facts = { action: 'garbage/collect', ...(endsGrace && { detail: { now: true } }) };
      return await audit.change(facts, collect, summaryOf);
    } finally {
      this.#running = false;
    }
  }

  async #collect(dryRun: boolean, { explain, endsGrace }: Required<CollectOptions>): Promise<Collected> {
    const { publish, log } = this.#deps;
    const began = performance.now();
    const found: SweepResult = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };
    const run = {
      rules: this.#rules(),
      maxSlice: this.#maxSlice,
      found,
      dryRun,
      endsGrace,
      droppable: new DigestSet(),
      signal: this.#abort.signal,
    };
    const sweep = { ...this.#deps, data: this.#data, ...run };
    await this.#run(sweep);
    const garbage = { dryRun, ...found, ms: Math.round(performance.now() - began) };
    log.info(garbage, dryRun ? 'garbage counted' : 'garbage collected');
    publish(garbageCollected, { ...garbage, ...byAccount() });
    return explain ? { ...garbage, held: await explainHeld(sweep) } : garbage;
  }

  /** Aborts a collection in progress, which is safe at any point. */
  abort(): void {
    this.#abort.abort(new Fault('unavailable', 'storage is shutting down: try again'));
  }

  async #run(sweep: Sweep): Promise<void> {
    const { ingests, rules, found, dryRun } = sweep;
    const dropped = await ingests.giveUp({ upload: rules.uploadsMs, transfer: rules.transfersMs }, dryRun);
    found.ingests += dropped.ingests;
    found.bytes += dropped.bytes;
    await sweepLinks(sweep);
    await sweepDeltas(sweep);
    await sweepSessions(sweep);
    await sweepContent(sweep);
    await sweepStrays(sweep);
    if (!dryRun) await emptyQuarantine(sweep);
  }
}
