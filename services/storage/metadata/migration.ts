import { type Change, put } from './batch-changes.ts';
import { kinds } from './keys.ts';

/** The part of `Metadata` that a migration uses while it is being opened. */
type MigrationTarget = {
  named(kind: typeof kinds.link | typeof kinds.manifest): AsyncIterable<[repository: string, digest: string]>;
  /** An instant later than all before it, in ms since 1970. */
  instant(now: number): number;
  write(batch: Change[]): Promise<void>;
};

/** Manifests per batch. */
const BATCH = 1_000;

/**
 * Migrates metadata of a version without records of outgoing changes: marks every manifest as possibly unsent. No push
 * is lost, and one check at the parent per manifest shows whether it has it. If interrupted, it runs again.
 */
export async function markAllUnsent(metadata: MigrationTarget): Promise<void> {
  let batch: Change[] = [];
  for await (const [repository, digest] of metadata.named(kinds.manifest)) {
    batch.push(...put.unsent(repository, digest, { since: metadata.instant(Date.now()), found: true }));
    if (batch.length < BATCH) continue;
    await metadata.write(batch);
    batch = [];
  }
  await metadata.write(batch);
}
