import { batches } from '#proto/async/batches.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { FORMAT } from '#proto/delta/format/header.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { DeltaPace } from '../delta/delta-pace.ts';
import { holdMs, isWorthSwitching, isWorthTaking, type Rest } from '../delta/worth.ts';
import type { ParentClients } from '../link/parent/client-cache.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import type { DeltaApplier } from '../transfer/pieces/delta-applier.ts';
import type { Arrival } from './arrivals.ts';
import { repositoriesWithBases } from './repositories-with-bases.ts';

/** Max blobs per request to storage. */
const PAGE = 1_000;

export type ArrivalWorthDeps = {
  bus: BusCaller;
  settings: Pick<SyncerSettings, 'get'> & { clients(): Promise<Pick<ParentClients, 'deltas'>> };
  /** Absent: no deltas are pulled. */
  deltaPace?: DeltaPace;
  applier?: DeltaApplier;
};

/** What the layer has of arriving content, and whether deltas save time. */
export class ArrivalWorth {
  readonly #deps: ArrivalWorthDeps;

  constructor(deps: ArrivalWorthDeps) {
    this.#deps = deps;
  }

  /** Which of the blobs, and of the bases of their deltas, are not here. */
  async missing(arrivals: readonly Arrival[], signal: AbortSignal): Promise<Set<Digest>> {
    const all = new Set(
      arrivals.flatMap(({ digest, deltas }) => [digest, ...deltas.flatMap(({ from }) => from)]),
    );
    const missing = new Set<Digest>();
    for (const digests of batches([...all], PAGE)) {
      const answer = await this.#deps.bus.call(missingBlobs, { digests }, { signal });
      for (const digest of answer.digests) missing.add(digest);
    }
    return missing;
  }

  isWorthTaking({ format, toSize, size }: HeldDelta): boolean {
    const { deltaPace, applier } = this.#deps;
    if (!deltaPace || !applier || format !== FORMAT || !deltaPace.mayApply(toSize)) return false;
    return isWorthTaking(this.#mode, deltaPace.now(), toSize, size);
  }

  /** Whether the delta replaces the rest of its target. */
  isWorthSwitching(rest: Rest, { size }: HeldDelta): boolean {
    const { deltaPace } = this.#deps;
    return deltaPace !== undefined && isWorthSwitching(this.#mode, deltaPace.now(), rest, size);
  }

  /** How long each of these blobs is not pulled in full, in ms. */
  async holdMs(
    absent: readonly Arrival[],
    signal: AbortSignal,
  ): Promise<(arrival: Pick<Arrival, 'repository' | 'size'>) => number> {
    const { bus, settings, deltaPace } = this.#deps;
    const { deltas } = await settings.clients();
    if (!deltaPace || !deltas.areOffered) return () => 0;
    const mode = this.#mode;
    const { savedMs } = deltaPace;
    const pace = deltaPace.now(deltas.roundTripMs);
    const holds = (size: number) => (deltaPace.mayApply(size) ? holdMs(mode, pace, size, savedMs) : 0);
    const worth = absent.filter(({ size }) => holds(size) > 0).map(({ repository }) => repository);
    const withBases = await repositoriesWithBases(bus, worth, signal);
    return ({ repository, size }) => (withBases.has(repository) ? holds(size) : 0);
  }

  get #mode() {
    return this.#deps.settings.get().delta.mode;
  }
}
