import type { BackupList, DumpFacts } from './backup-format.ts';
import type { Content, ReadBack } from './copy-content.ts';
import type { Place } from './direct-read.ts';
import type { Pace } from './pace.ts';

/** Where one backup is written to, which holds the lock of the target until its disposal. */
export interface BackupTarget extends AsyncDisposable {
  /** Folder or file. */
  readonly path: string;
  /** Of the backup. */
  readonly id: string;
  /** Max copies at a time. */
  readonly copies: number;
  /** Whether this content is there, verified, from an earlier backup or one that was killed. */
  has(content: Content): Promise<boolean>;
  freeBytes(): Promise<number>;
  /** Writes the metadata first. Synced when it resolves. @param records `[key, JSON of the value]` */
  writeDump(
    records: AsyncIterable<[key: string, json: string]>,
    files: readonly { file: string; bytes: Uint8Array }[],
  ): Promise<{ facts: DumpFacts; place: Place }>;
  /** Adds content, which is read back. @returns false if the source lacks these bytes, or has other ones */
  add(content: Content, from: Place, pace: Pace): Promise<boolean>;
  /** Of everything so far. */
  readonly readBack: ReadBack;
  /** Makes the backup exist. It was synced, and read back, when this resolves. */
  complete(list: Omit<BackupList, 'sha256'>): Promise<void>;
  /** Deletes what only this backup needed. Best effort. */
  abandon(): Promise<void>;
}
