import { matchesPattern } from '#proto/oci/repository-pattern.ts';

/** Which repositories this layer exchanges with its parent. Changes of clients in others stay in the layer. */
export class Selection {
  /** Undefined: all, as in a layer without a parent. */
  patterns: readonly string[] | undefined;

  covers(repository: string): boolean {
    return this.patterns === undefined || matchesPattern(this.patterns, repository);
  }
}
