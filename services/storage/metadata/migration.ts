import { type Change, put } from './changes.ts';

/** What a migration needs of the metadata that it is part of opening. */
type Migrating = {
  named(kind: 'l' | 'm'): AsyncIterable<[repository: string, digest: string]>;
  /** An instant no earlier than all before it, in ms since 1970. */
  instant(now: number): number;
  write(batch: Change[]): Promise<void>;
};

/** Manifests in one batch. */
const BATCH = 1_000;

/**
 * For metadata of a version that kept nothing of what is outgoing: every manifest may be so. Nothing that was pushed
 * is forgotten, and one look at the parent for each settles what it has. Cut off in the middle, it is done again.
 */
export async function allUnsent(metadata: Migrating): Promise<void> {
  let batch: Change[] = [];
  for await (const [repository, digest] of metadata.named('m')) {
    batch.push(...put.unsent(repository, digest, { since: metadata.instant(Date.now()), found: true }));
    if (batch.length < BATCH) continue;
    await metadata.write(batch);
    batch = [];
  }
  await metadata.write(batch);
}
