import type { Garbage } from '#proto/upkeep.ts';
import type { Parts } from './parts.ts';

/** How long what nothing names is kept, in ms. */
export type GarbageRules = {
  /** After somebody was told of it. */
  graceMs: number;
  /** Uploads, after their last sign of life. */
  uploadsMs: number;
  /** The same of transfers; also what came over the link and no manifest ever named. */
  transfersMs: number;
};

/** What a run found; its parts add to it. */
export type Found = Omit<Garbage, 'dryRun' | 'ms'>;

/** What the parts of a run need. */
export type Sweep = Parts & {
  data: string;
  rules: GarbageRules;
  found: Found;
  /** Links that would go, as `<repository>!<digest>`; undefined where they do go. */
  dry: Set<string> | undefined;
  /** Aborts when storage ends. */
  signal: AbortSignal;
};
