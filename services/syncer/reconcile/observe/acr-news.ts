import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { isRepository, type Repository } from '#proto/oci/names.ts';
import { keepMarks, listMarks, MARKS_AT_ONCE, type Mark } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import type { AcrMetadata, Seen } from '../../link/parent/acr-metadata.ts';
import type { Parent } from '../../link/parent/parent.ts';
import { pages } from '../context/lists.ts';
import type { Look, ParentChanges, Told } from '../context/parent-changes.ts';
import { matches, named, needsCatalog, selectionOf } from '../select/patterns.ts';
import { type ToldDeps, toldByLists, toldGone, toldSince } from './acr-told.ts';

/** Everything is compared once in so long, whatever is told, in ms. */
const WHOLE_MS = 24 * 60 * 60_000;
/** A registry that was seen to have no `/acr/v1` is asked again after so long, in ms. */
const ASK_AGAIN_MS = 60 * 60_000;
const AT_ONCE = 8;

export type AcrLookDeps = {
  acr: AcrMetadata;
  parent: Pick<Parent, 'repositories' | 'tags' | 'resolve' | 'manifest'>;
  repositories: Configuration['repositories'];
  signal: AbortSignal;
};

/**
 * What is new in an Azure Container Registry, which tells of each repository when it last changed and how much is in
 * it: one request for each in which nothing is. Storage keeps how each was (its mark) when all before was carried out,
 * so that what could not be is found again, also after a restart.
 */
export class AcrChangeScan {
  readonly #bus: FencedBus;
  readonly #now: () => number;
  #of: string | undefined;
  #marks = new Map<Repository, Mark>();
  #wholeAt: number;
  #silentUntil = 0;

  constructor(bus: FencedBus, now: () => number = Date.now) {
    this.#bus = bus;
    this.#now = now;
    this.#wholeAt = now();
  }

  /**
   * @returns undefined where the registry tells none of this, or not to this layer
   * @throws Fault `parent-unreachable`, …
   */
  async look(
    deps: AcrLookDeps,
    { of, everything }: { of: string; everything: boolean },
  ): Promise<Look | undefined> {
    if (this.#now() < this.#silentUntil) return undefined;
    if (of !== this.#of) await this.#begin(of, deps.signal);
    const names = await this.#names(deps);
    if (!names) return undefined;
    const seen = await this.#see(deps, names);
    if (!seen) {
      this.#silentUntil = this.#now() + ASK_AGAIN_MS;
      return undefined;
    }
    const states = [...seen.values()];
    if (states.length > 0 && states.every((state) => state === 'closed')) return undefined;
    const whole = everything || this.#marks.size === 0 || this.#now() - this.#wholeAt >= WHOLE_MS;
    const parentChanges = whole ? undefined : await this.#hear(deps, seen);
    return { parentChanges, settle: (good) => this.#settle(good, whole, seen) };
  }

  async #begin(of: string, signal: AbortSignal): Promise<void> {
    const marks = new Map<Repository, Mark>();
    const kept = pages(
      (page) => this.#bus.call(listMarks, { of, ...page }, { signal }),
      (page) => page.marks,
      ({ repository }) => repository,
      MARKS_AT_ONCE,
    );
    for await (const { repository, mark } of kept) marks.set(repository, mark);
    this.#of = of;
    this.#marks = marks;
  }

  /** Those that are asked for; undefined where only the catalog tells which, and this layer may not see it. */
  async #names({ parent, repositories, signal }: AcrLookDeps): Promise<Repository[] | undefined> {
    const patterns = repositories.map(({ name }) => name);
    const found = new Set<Repository>([...named(patterns).filter(isRepository), ...this.#marks.keys()]);
    if (needsCatalog(patterns)) {
      try {
        for await (const name of parent.repositories(signal)) if (matches(patterns, name)) found.add(name);
      } catch (error) {
        if (Fault.is(error, 'parent-refused', 'parent-invalid')) return undefined;
        throw error;
      }
    }
    return [...found].sort();
  }

  async #see({ acr, signal }: AcrLookDeps, names: Repository[]): Promise<Map<Repository, Seen> | undefined> {
    const scopes = acr.scopes(names);
    const seen = new Map<Repository, Seen>();
    let tells = true;
    await each(names, AT_ONCE, async (name) => {
      const state = tells ? await acr.look(name, scopes.get(name) as string, signal) : undefined;
      if (state) seen.set(name, state);
      else tells = false;
    });
    return tells ? seen : undefined;
  }

  async #hear(deps: AcrLookDeps, seen: ReadonlyMap<Repository, Seen>): Promise<ParentChanges> {
    const { acr, parent, signal, repositories } = deps;
    const told: ToldDeps = { bus: this.#bus, acr, parent, signal };
    const parentChanges = new Map<Repository, Told>();
    // Where nothing at all is left, the registry may as well be another one of the same name: nothing goes for that.
    const left = [...seen.values()].some((state) => state !== 'gone');
    await each([...seen], AT_ONCE, async ([name, state]) => {
      const mark = this.#marks.get(name);
      if (typeof state === 'object' && mark && isSame(mark, state)) return;
      if (state === 'gone') {
        if (mark && left) parentChanges.set(name, await toldGone(told, name));
        return;
      }
      const selected = selectionOf(repositories, name);
      // Its tags are listed anyway: which of them are wanted depends on all.
      const filtered = selected?.tags !== undefined || selected?.referrers === false;
      if (filtered) parentChanges.set(name, { tags: new Map(), around: new Set() });
      else if (state === 'closed') parentChanges.set(name, await toldByLists(told, name));
      else parentChanges.set(name, await toldSince(told, name, mark, state));
    });
    return parentChanges;
  }

  async #settle(good: boolean, whole: boolean, seen: ReadonlyMap<Repository, Seen>): Promise<void> {
    if (!good) return;
    const left = [...seen.values()].some((state) => state !== 'gone');
    const changed: { repository: Repository; mark: Mark | null }[] = [];
    for (const [repository, state] of seen) {
      const before = this.#marks.get(repository);
      const mark = typeof state === 'object' ? state : null;
      // That one is gone is carried out where it is heard, and not where everything is compared.
      if (mark ? before && isSame(before, mark) : !before || !left || whole) continue;
      changed.push({ repository, mark });
    }
    for (const marks of batches(changed, MARKS_AT_ONCE)) {
      await this.#bus.call(keepMarks, { of: this.#of as string, marks });
    }
    for (const { repository, mark } of changed) {
      if (mark) this.#marks.set(repository, mark);
      else this.#marks.delete(repository);
    }
    if (whole) this.#wholeAt = this.#now();
  }
}

const isSame = (one: Mark, other: Mark): boolean =>
  one.updated === other.updated && one.tags === other.tags && one.manifests === other.manifests;
