import { Keep } from '../content/backups.ts';
import { FilePath, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * What `terrace backup list|check|prune` and `terrace restore` ask the process that works on backups for (one JSON text
 * on its stdin), and what it writes to its stdout: lines of JSON, `BackupTaskOutput`, of which the last is no progress.
 */

const source = { source: FilePath };
/** The last backup that is not later. */
const at = Type.Optional(Instant);

export const BackupTask = Type.Union([
  Type.Object({ task: Type.Literal('list'), ...source }),
  Type.Object({ task: Type.Literal('check'), ...source, at, rate: Type.Optional(Type.Integer()) }),
  Type.Object({ task: Type.Literal('prune'), ...source, keep: Keep }),
  Type.Object({
    task: Type.Literal('restore'),
    ...source,
    at,
    data: FilePath,
    /** The content comes again from the parent. */
    metadataOnly: Type.Boolean(),
  }),
]);
export type BackupTask = Static<typeof BackupTask>;

export type ListedBackup = {
  id: string;
  at: number;
  terrace: string;
  layer: string;
  records: number;
  blobs: number;
  bytes: number;
  missing: number;
};

export type BackupTaskAnswer =
  | {
      kind: 'listed';
      backups: ListedBackup[];
      /** Lists that can't be read, one sentence each. */
      unreadable: string[];
    }
  | {
      kind: 'checked';
      id: string;
      at: number;
      records: number;
      blobs: number;
      bytes: number;
      damaged: { blobs: number; first: string[] };
      readBack: 'disk' | 'cache';
      ms: number;
    }
  | { kind: 'pruned'; backups: string[]; kept: number; blobs: number; bytes: number }
  | {
      kind: 'restored';
      id: string;
      at: number;
      layer: string;
      records: number;
      blobs: number;
      bytes: number;
      /** Content that the backup lacks or has damaged: it counts as damaged in the layer. */
      missing: { blobs: number; first: string[] };
      /** One sentence each, for the operator. */
      notes: string[];
      /** Files that the configuration at the backup named; they are not in it. */
      files: string[];
      ms: number;
    }
  | { kind: 'failed'; why: string };

export type BackupTaskOutput =
  | { progress: { blobs: number; bytes: number; ofBlobs: number; ofBytes: number } }
  | BackupTaskAnswer;
