import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { isRepository, type Repository } from '#proto/oci/names.ts';
import { matchesPattern, selectionOf } from '#proto/oci/repository-pattern.ts';
import { listMarks, MAX_MARKS_PER_PAGE, type Mark, storeMarks } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import type { AcrMetadata, RepositoryState } from '../../link/parent/acr-metadata.ts';
import type { ManifestSource, RepositoryLister } from '../../link/parent/parent-reader.ts';
import { listEntries } from '../context/lists.ts';
import type {
  ParentChanges,
  PassOutcome,
  ReportedChanges,
  RepositoryChanges,
} from '../context/parent-changes.ts';
import { exactNames, needsCatalog } from '../select/patterns.ts';
import { type AcrChangesDeps, readChangesSince, readDeletedChanges } from './acr-changes.ts';

/** Max interval between comparisons of everything, regardless of reported changes, in ms. */
const COMPARE_ALL_MS = 24 * 60 * 60_000;
/** Retry interval for a registry that turned out to have no `/acr/v1`, in ms. */
const RETRY_MS = 60 * 60_000;
/** Max requests to the registry in parallel. */
const MAX_PARALLEL = 8;

export type AcrScanDeps = {
  acr: AcrMetadata;
  parent: RepositoryLister & ManifestSource;
  repositories: Configuration['repositories'];
  signal: AbortSignal;
};

/**
 * Finds changes in an Azure Container Registry, which reports per repository when it last changed and how much it
 * holds: one request per unchanged repository. Storage stores the report (the mark of the repository) once all changes
 * up to it were carried out, so that changes that could not be are found again, also after a restart.
 */
export class AcrChangeScan {
  readonly #bus: FencedBus;
  readonly #now: () => number;
  #scopeHash: string | undefined;
  #marks = new Map<Repository, Mark>();
  #comparedAllAt: number;
  #unsupportedUntil = Number.NEGATIVE_INFINITY;
  /** The registry has returned metadata of a repository, so it has this API. */
  #isSupported = false;

  constructor(bus: FencedBus, now: () => number = () => performance.now()) {
    this.#bus = bus;
    this.#now = now;
    this.#comparedAllAt = now();
  }

  /**
   * @returns undefined if the registry has no such metadata, or denies this layer access to all of it
   * @throws Fault `parent-unreachable`, …
   */
  async scan(
    deps: AcrScanDeps,
    { scopeHash, full }: { scopeHash: string; full: boolean },
  ): Promise<ReportedChanges | undefined> {
    if (this.#now() < this.#unsupportedUntil) return undefined;
    if (scopeHash !== this.#scopeHash) await this.#loadMarks(scopeHash, deps.signal);
    const names = await this.#names(deps);
    if (!names) return undefined;
    const seen = await this.#readStates(deps, names);
    if (!seen) {
      this.#unsupportedUntil = this.#now() + RETRY_MS;
      return undefined;
    }
    const states = [...seen.values()];
    if (states.length > 0 && states.every((state) => state === 'unreadable')) return undefined;
    const compareAll = full || this.#marks.size === 0 || this.#now() - this.#comparedAllAt >= COMPARE_ALL_MS;
    const parentChanges = compareAll ? undefined : await this.#findChanges(deps, seen);
    return { parentChanges, finish: (outcome) => this.#storeMarks(outcome, compareAll, seen) };
  }

  async #loadMarks(scopeHash: string, signal: AbortSignal): Promise<void> {
    const marks = new Map<Repository, Mark>();
    const stored = listEntries(
      (page) => this.#bus.call(listMarks, { scopeHash, ...page }, { signal }),
      (page) => page.marks,
      ({ repository }) => repository,
      MAX_MARKS_PER_PAGE,
    );
    for await (const { repository, mark } of stored) marks.set(repository, mark);
    this.#scopeHash = scopeHash;
    this.#marks = marks;
  }

  /** Repositories to look at; undefined if the catalog is needed to know them and this layer may not read it. */
  async #names({ parent, repositories, signal }: AcrScanDeps): Promise<Repository[] | undefined> {
    const patterns = repositories.map(({ name }) => name);
    const names = new Set<Repository>([...exactNames(patterns).filter(isRepository), ...this.#marks.keys()]);
    if (needsCatalog(patterns)) {
      try {
        for await (const name of parent.repositories(signal))
          if (matchesPattern(patterns, name)) names.add(name);
      } catch (error) {
        if (Fault.is(error, 'parent-refused', 'parent-invalid')) return undefined;
        throw error;
      }
    }
    return [...names].sort();
  }

  async #readStates(
    { acr, signal }: AcrScanDeps,
    names: Repository[],
  ): Promise<Map<Repository, RepositoryState> | undefined> {
    const scopes = acr.scopes(names);
    const seen = new Map<Repository, RepositoryState>();
    let isSupported = true;
    await each(names, MAX_PARALLEL, async (name) => {
      if (!isSupported) return;
      const ask = () => acr.lastChange(name, scopes.get(name) as string, signal);
      const state = await unlessOfRepository(ask, 'unreadable' as const, signal);
      if (typeof state === 'object') this.#isSupported = true;
      if (state || this.#isSupported) seen.set(name, state ?? 'unreadable');
      else isSupported = false;
    });
    return isSupported ? seen : undefined;
  }

  async #findChanges(
    deps: AcrScanDeps,
    seen: ReadonlyMap<Repository, RepositoryState>,
  ): Promise<ParentChanges> {
    const { acr, parent, signal, repositories } = deps;
    const readDeps: AcrChangesDeps = { bus: this.#bus, acr, parent, signal };
    const parentChanges = new Map<Repository, RepositoryChanges | undefined>();
    // If all repositories are missing, the registry may be another one of the same name: nothing is deleted for that.
    const anyLeft = [...seen.values()].some((state) => state !== 'missing');
    await each([...seen], MAX_PARALLEL, async ([name, state]) => {
      const mark = this.#marks.get(name);
      if (typeof state === 'object' && mark && isSame(mark, state)) return;
      if (state === 'missing' && !(mark && anyLeft)) return;
      const selected = selectionOf(repositories, name);
      // The survey lists all tags of a filtered repository anyway: the selection depends on all of them.
      const filtered = selected?.tags !== undefined || selected?.referrers === false;
      const read = async () => {
        if (state === 'missing') return readDeletedChanges(readDeps, name);
        return filtered || state === 'unreadable' ? undefined : readChangesSince(readDeps, name, mark, state);
      };
      parentChanges.set(name, await unlessOfRepository(read, undefined, signal));
    });
    return parentChanges;
  }

  async #storeMarks(
    { good, failed }: PassOutcome,
    compareAll: boolean,
    seen: ReadonlyMap<Repository, RepositoryState>,
  ): Promise<void> {
    if (!good && !failed) return;
    const anyLeft = [...seen.values()].some((state) => state !== 'missing');
    const changed: { repository: Repository; mark: Mark | null }[] = [];
    for (const [repository, state] of seen) {
      const before = this.#marks.get(repository);
      if (failed?.has(repository)) {
        // Without a mark, the next pass compares it, also if the registry reports no change of it since.
        if (compareAll && before) changed.push({ repository, mark: null });
        continue;
      }
      const mark = typeof state === 'object' ? state : null;
      // A deleted repository's mark is removed by the pass that handles the deletion, not by one that compares all.
      if (mark ? before && isSame(before, mark) : !before || !anyLeft || compareAll) continue;
      changed.push({ repository, mark });
    }
    for (const marks of batches(changed, MAX_MARKS_PER_PAGE)) {
      await this.#bus.call(storeMarks, { scopeHash: this.#scopeHash as string, marks });
    }
    for (const { repository, mark } of changed) {
      if (mark) this.#marks.set(repository, mark);
      else this.#marks.delete(repository);
    }
    if (compareAll) this.#comparedAllAt = this.#now();
  }
}

/** `otherwise` for a failure that says nothing of other repositories. The survey of this one then names its cause. */
async function unlessOfRepository<T, O>(
  read: () => Promise<T>,
  otherwise: O,
  signal: AbortSignal,
): Promise<T | O> {
  try {
    return await read();
  } catch (error) {
    signal.throwIfAborted();
    const isAnswered = error instanceof Fault && error.detail?.status !== undefined;
    if (Fault.is(error, 'parent-invalid') || (isAnswered && !Fault.is(error, 'busy'))) return otherwise;
    throw error;
  }
}

const isSame = (one: Mark, other: Mark): boolean =>
  one.updated === other.updated && one.tags === other.tags && one.manifests === other.manifests;
