import { matchesPattern } from '#proto/oci/repository-pattern.ts';

/** Which repositories this layer exchanges with its parent. Changes of clients in others stay in the layer. */
export class Selection {
  /** Undefined: all, as in a layer without a parent. */
  patterns: readonly string[] | undefined;
  /**
   * Changes go to a parent. In a ReadOnly layer, and in one without a parent, each manifest has a record of an unsent
   * one all the same: it goes up if the layer gets a parent, or becomes ReadWrite. Until then it is not pending.
   */
  pushes = true;
  /** Otherwise, what is recorded of a parent that the layer had before means nothing. */
  hasParent = true;

  covers(repository: string): boolean {
    return this.patterns === undefined || matchesPattern(this.patterns, repository);
  }
}
