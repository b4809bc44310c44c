import type { Bus } from '#proto/bus/bus.ts';
import type { Repository } from '#proto/oci/names.ts';
import { type ContentChange, getCursor, keepCursor } from '#proto/sync/changes.ts';
import type { ParentFeed } from '../../link/parent/feed.ts';
import type { Look, Told } from '../context/parent-changes.ts';

/** Everything is compared once in so long, whatever was told, in ms. */
const WHOLE_MS = 24 * 60 * 60_000;
/** Answers of one look, and changes that a pass is owed. */
const MAX_ANSWERS = 1_000;
const MAX_OWED = 200_000;
/** A pass that begins so soon after an answer of the parent's need not ask again, in ms. */
const MAX_ANSWER_AGE_MS = 2_000;

/**
 * How far this layer has followed a parent that tells its changes. The cursor is kept by storage when all before it was
 * carried out, so a restart goes on from there; what was told and could not be carried out is owed to the next pass.
 */
export class ChangeCursor {
  readonly #bus: Pick<Bus, 'call'>;
  readonly #now: () => number;
  /** What the cursor is of: another parent, or other things to take from it, begin anew. */
  #of: string | undefined;
  #cursor: string | undefined;
  #kept: string | undefined;
  #owed = new Map<Repository, Told>();
  #wholeAt: number;
  /** A request rests at the parent, or the next one is about to, and the one before it was answered. */
  #followed = false;
  #known = false;
  /** When the parent last answered that nothing is new, by `performance.now()`. */
  #unchangedAt = Number.NEGATIVE_INFINITY;
  #turned = Promise.withResolvers<void>();

  constructor(bus: Pick<Bus, 'call'>, now: () => number = Date.now) {
    this.#bus = bus;
    this.#now = now;
    this.#wholeAt = now();
  }

  /** Behind all that was told; undefined where everything is to be compared first. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Whether somebody waits for what the parent tells next, and the parent has answered every request so far. */
  get followed(): boolean {
    return this.#followed && this.#cursor !== undefined;
  }

  /** Whether the parent knows by the requests of whoever follows it that this layer is there. */
  get known(): boolean {
    return this.followed && this.#known;
  }

  /** Resolves when a pass has ended that looked at this. */
  get turned(): Promise<void> {
    return this.#turned.promise;
  }

  /** The parent has something to tell whoever follows it, which the next pass asks for. */
  changed(): void {
    this.#followed = true;
    this.#unchangedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * Behind `before` there was nothing that concerns this layer up to `cursor`.
   * @param known the parent takes the requests of whoever follows it as the sign that this layer is there
   */
  unchanged(before: string, cursor: string, known = false): void {
    this.#followed = true;
    this.#known = known;
    this.#unchangedAt = performance.now();
    if (this.#cursor === before) this.#cursor = cursor;
  }

  /** Nobody follows the parent, or it does not answer. */
  unfollow(): void {
    this.#followed = false;
  }

  /**
   * @param everything whatever was told, all is to be compared
   * @param asks whether the parent is to be asked now, although it has just answered whoever follows it
   * @returns undefined where the parent tells no changes
   * @throws Fault `parent-unreachable`, …
   */
  async look(
    feed: Pick<ParentFeed, 'changes'>,
    { of, everything, asks }: { of: string; everything: boolean; asks: boolean },
    signal: AbortSignal,
  ): Promise<Look | undefined> {
    if (of !== this.#of) await this.#begin(of);
    const whole = everything || this.#now() - this.#wholeAt >= WHOLE_MS;
    const isFresh = performance.now() - this.#unchangedAt < MAX_ANSWER_AGE_MS;
    if (!whole && !asks && this.followed && isFresh) return { ...this.#some(), answered: true };
    let after = whole ? undefined : this.#cursor;
    for (let answers = 1; ; answers += 1) {
      const answer = await feed.changes(after, 0, signal);
      if (!answer) {
        this.#cursor = undefined;
        return undefined;
      }
      if (answer.lost || after === undefined) return this.#everything(answer.cursor, answer.lost);
      for (const change of answer.changes) this.#owe(change);
      after = answer.cursor;
      this.#cursor = after;
      if (!answer.more) return this.#some();
      // More than is worth following: all is compared from where the journal ends now.
      if (answers >= MAX_ANSWERS || this.#owes() > MAX_OWED) {
        this.#owed.clear();
        this.#cursor = after = undefined;
      }
    }
  }

  async #begin(of: string): Promise<void> {
    const { cursor } = await this.#bus.call(getCursor, { of });
    this.#of = of;
    this.#followed = false;
    this.#cursor = cursor;
    this.#kept = cursor;
    this.#owed.clear();
  }

  #everything(cursor: string, lost: boolean): Look {
    if (lost) this.#cursor = undefined;
    return {
      parentChanges: undefined,
      settle: async (good) => {
        if (good) {
          this.#wholeAt = this.#now();
          this.#owed.clear();
          this.#cursor = cursor;
        }
        await this.#turn(good);
      },
    };
  }

  #some(): Look {
    return {
      parentChanges: new Map(this.#owed),
      settle: async (good) => {
        if (good) this.#owed.clear();
        await this.#turn(good);
      },
    };
  }

  async #turn(good: boolean): Promise<void> {
    if (good && this.#cursor !== undefined && this.#cursor !== this.#kept) {
      await this.#bus.call(keepCursor, { of: this.#of as string, cursor: this.#cursor });
      this.#kept = this.#cursor;
    }
    this.#turned.resolve();
    this.#turned = Promise.withResolvers();
  }

  #owes(): number {
    return [...this.#owed.values()].reduce((sum, { tags, around }) => sum + tags.size + around.size, 0);
  }

  #owe(change: ContentChange): void {
    const { repository } = change;
    const told = this.#owed.get(repository) ?? { tags: new Map(), around: new Set() };
    this.#owed.set(repository, told);
    if ('around' in change) told.around.add(change.around);
    else told.tags.set(change.tag, change.digest);
  }
}
