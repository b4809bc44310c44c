import type { BusCaller } from '#proto/bus/roles.ts';
import type { Repository } from '#proto/oci/names.ts';
import { type ContentChange, getCursor, storeCursor } from '#proto/sync/changes.ts';
import type { ChangeSource } from '../../link/terrace/parent-feed.ts';
import type { ReportedChanges, RepositoryChanges } from '../context/parent-changes.ts';

/** Max interval between comparisons of everything, regardless of reported changes, in ms. */
const COMPARE_ALL_MS = 24 * 60 * 60_000;
/** Max answers per read of the feed, and max pending changes: beyond either, everything is compared. */
const MAX_ANSWERS = 1_000;
const MAX_PENDING = 200_000;
/** Max age of an answer of the parent for which a routine pass does not ask again, in ms. */
const MAX_ANSWER_AGE_MS = 2_000;

/** Knows the position in the parent's change feed. */
export interface CursorReader {
  readonly cursor: string | undefined;
}

/** Knows also when a pass has read from there. */
export interface CursorFollower extends CursorReader {
  readonly passEnded: Promise<void>;
}

/**
 * Position of this layer in the change feed of its parent. Storage stores the cursor once all changes before it were
 * carried out, so that a restart continues from there. Changes that were read but not carried out stay pending for the
 * next pass.
 */
export class ChangeCursor implements CursorFollower {
  readonly #bus: BusCaller;
  readonly #now: () => number;
  /** Hash of the parent and of every setting that decides what is pulled; with another one, the cursor is reloaded. */
  #scopeHash: string | undefined;
  #cursor: string | undefined;
  #stored: string | undefined;
  #pending = new Map<Repository, RepositoryChanges>();
  #comparedAllAt: number;
  /** A long poll is active, or the next one is about to begin, and the one before it was answered. */
  #followed = false;
  #known = false;
  /** When the parent last answered that nothing is new, by `performance.now()`. */
  #unchangedAt = Number.NEGATIVE_INFINITY;
  #passEnded = Promise.withResolvers<void>();

  constructor(bus: BusCaller, now: () => number = () => performance.now()) {
    this.#bus = bus;
    this.#now = now;
    this.#comparedAllAt = now();
  }

  /** Cursor after all changes that were read; undefined if everything has to be compared first. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Whether the feed is followed by long polls, and the parent has answered each of them so far. */
  get followed(): boolean {
    return this.#followed && this.#cursor !== undefined;
  }

  /** Whether the parent knows by the long polls that this layer is present. */
  get known(): boolean {
    return this.followed && this.#known;
  }

  /** Resolves at the end of the next pass that reads changes from here. */
  get passEnded(): Promise<void> {
    return this.#passEnded.promise;
  }

  /** A long poll reported changes; the next pass reads them. */
  changed(): void {
    this.#followed = true;
    this.#unchangedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * A long poll reported no changes for this layer between `before` and `cursor`.
   * @param known the parent takes the long polls as the presence of this layer
   */
  unchanged(before: string, cursor: string, known = false): void {
    this.#followed = true;
    this.#known = known;
    this.#unchangedAt = performance.now();
    if (this.#cursor === before) this.#cursor = cursor;
  }

  /** The feed is not followed, or the parent does not answer. */
  unfollow(): void {
    this.#followed = false;
  }

  /**
   * Reads the changes since the last pass.
   * @param full compare everything, regardless of reported changes
   * @param mustAsk ask the parent now, even if it has just answered a long poll
   * @returns undefined if the parent has no change feed
   * @throws Fault `parent-unreachable`, …
   */
  async read(
    feed: ChangeSource,
    { scopeHash, full, mustAsk }: { scopeHash: string; full: boolean; mustAsk: boolean },
    signal: AbortSignal,
  ): Promise<ReportedChanges | undefined> {
    await this.use(scopeHash);
    const compareAll = full || this.#now() - this.#comparedAllAt >= COMPARE_ALL_MS;
    const isFresh = performance.now() - this.#unchangedAt < MAX_ANSWER_AGE_MS;
    if (!compareAll && !mustAsk && this.followed && isFresh)
      return { ...this.#compareChanges(), answered: true };
    let after = compareAll ? undefined : this.#cursor;
    for (let answers = 1; ; answers += 1) {
      const answer = await feed.changes(after, 0, signal);
      if (!answer) {
        this.#cursor = undefined;
        return undefined;
      }
      if (answer.lost || after === undefined) return this.#compareAll(answer.cursor, answer.lost);
      for (const change of answer.changes) this.#addPending(change);
      after = answer.cursor;
      this.#cursor = after;
      if (!answer.more) return this.#compareChanges();
      // Too many changes to follow: everything is compared, starting from the current end of the journal.
      if (answers >= MAX_ANSWERS || this.#pendingCount() > MAX_PENDING) {
        this.#pending.clear();
        this.#cursor = after = undefined;
      }
    }
  }

  /** Loads the cursor that was stored for this scope, unless it is the present one. */
  async use(scopeHash: string): Promise<void> {
    if (scopeHash === this.#scopeHash) return;
    const { cursor } = await this.#bus.call(getCursor, { scopeHash });
    this.#scopeHash = scopeHash;
    this.#followed = false;
    this.#cursor = cursor;
    this.#stored = cursor;
    this.#pending.clear();
  }

  #compareAll(cursor: string, lost: boolean): ReportedChanges {
    if (lost) this.#cursor = undefined;
    return {
      parentChanges: undefined,
      finish: async ({ good }) => {
        if (good) {
          this.#comparedAllAt = this.#now();
          this.#pending.clear();
          this.#cursor = cursor;
        }
        await this.#endPass(good);
      },
    };
  }

  #compareChanges(): ReportedChanges {
    return {
      parentChanges: new Map(this.#pending),
      finish: async ({ good }) => {
        if (good) this.#pending.clear();
        await this.#endPass(good);
      },
    };
  }

  async #endPass(good: boolean): Promise<void> {
    if (good && this.#cursor !== undefined && this.#cursor !== this.#stored) {
      await this.#bus.call(storeCursor, { scopeHash: this.#scopeHash as string, cursor: this.#cursor });
      this.#stored = this.#cursor;
    }
    this.#passEnded.resolve();
    this.#passEnded = Promise.withResolvers();
  }

  #pendingCount(): number {
    return [...this.#pending.values()].reduce((sum, { tags, around }) => sum + tags.size + around.size, 0);
  }

  #addPending(change: ContentChange): void {
    const { repository } = change;
    const changes = this.#pending.get(repository) ?? { tags: new Map(), around: new Set() };
    this.#pending.set(repository, changes);
    if ('around' in change) changes.around.add(change.around);
    else changes.tags.set(change.tag, change.digest);
  }
}
