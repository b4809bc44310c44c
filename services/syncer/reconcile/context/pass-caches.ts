import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Fault } from '#proto/contract/fault.ts';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import type { ParentReader } from '../../link/parent/parent-reader.ts';
import { FailedParts } from './leave-out.ts';
import { LeftOutContent } from './left-out.ts';
import { Oversized } from './oversized.ts';
import { RefusedRepositories } from './refused-repositories.ts';
import { Sends } from './sends.ts';

const MAX_LEFT_OUT_BY_PARENT = 100_000;
const MAX_PREFETCHED_TAGS = 10_000;
const RECHECK_MS = 15 * 60_000;

/** What the passes of a term remember of each parent. All other state is determined again by each pass. */
export class PassCaches {
  readonly sends = new Sends();
  readonly #leftOut = new WeakMap<ParentReader, Map<string, Fault>>();
  readonly #oversized = new WeakMap<ParentReader, Oversized>();
  readonly #failedParts = new WeakMap<ParentReader, FailedParts>();
  /** No parent has been used in this term. */
  #isFirst = true;
  readonly #content = new WeakMap<ParentReader, LeftOutContent>();
  /** When what a parent left out is asked for again, on the clock of `performance`. */
  #recheckAt = 0;
  readonly #prefetchedTags = new WeakMap<ParentReader, BoundedMap<true>>();
  readonly #refused = new WeakMap<ParentReader, RefusedRepositories>();

  /**
   * What the parent left out or does not have, with the fault of its answer: children of indexes and referrers by
   * `partOf`, listed tags by `taggedPart`. They are asked for again by a full pass, after a referrer or child was added
   * at the parent, each `RECHECK_MS`, and by the next coordinator.
   */
  leftOutByParent(parent: ParentReader, restart: boolean): Map<string, Fault> {
    const now = performance.now();
    const isDue = now >= this.#recheckAt;
    if (isDue || restart) this.#recheckAt = now + RECHECK_MS;
    const leftOut = (!restart && !isDue && this.#leftOut.get(parent)) || new Map<string, Fault>();
    this.#leftOut.set(parent, leftOut);
    if (leftOut.size > MAX_LEFT_OUT_BY_PARENT) leftOut.clear();
    return leftOut;
  }

  /** What the layer lacks of its images. @param inherited what the last status of the link says */
  content(parent: ParentReader, inherited: LeftOutSummary | undefined): LeftOutContent {
    // What was left out of another parent's content says nothing about this one's.
    const content = this.#content.get(parent) ?? new LeftOutContent(this.#isFirst ? inherited : undefined);
    this.#isFirst = false;
    this.#content.set(parent, content);
    return content;
  }

  failedParts(parent: ParentReader): FailedParts {
    const known = this.#failedParts.get(parent) ?? new FailedParts();
    this.#failedParts.set(parent, known);
    return known;
  }

  /** Images that exceed the limits of a layer. */
  oversized(parent: ParentReader, restart: boolean): Oversized {
    const oversized = (!restart && this.#oversized.get(parent)) || new Oversized();
    this.#oversized.set(parent, oversized);
    return oversized;
  }

  /** Tags whose manifest was prefetched, see `PassPrefetch`. */
  prefetchedTags(parent: ParentReader): BoundedMap<true> {
    const tags = this.#prefetchedTags.get(parent) ?? new BoundedMap<true>(MAX_PREFETCHED_TAGS);
    this.#prefetchedTags.set(parent, tags);
    return tags;
  }

  /** Repositories that the parent refuses to this layer. */
  refused(parent: ParentReader): RefusedRepositories {
    const refused = this.#refused.get(parent) ?? new RefusedRepositories();
    this.#refused.set(parent, refused);
    return refused;
  }
}
