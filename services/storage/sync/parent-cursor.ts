import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { put } from '../metadata/metadata.ts';

type CursorDeps = {
  metadata: Metadata;
  locks: KeyedLock;
};

/** This layer's cursor in the journal of its parent, for one scope at a time. No faults of its own. */
export class ParentCursor {
  readonly #deps: CursorDeps;

  constructor(deps: CursorDeps) {
    this.#deps = deps;
  }

  /** Replaces the cursor of any other scope. */
  async store(scopeHash: string, cursor: string | null): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run('cursor', async () => {
      const before = await metadata.cursor();
      if (before?.of === scopeHash && before.cursor === cursor) return;
      await metadata.write(put.cursor({ of: scopeHash, cursor }));
    });
  }

  async get(scopeHash: string): Promise<{ cursor?: string }> {
    const record = await this.#deps.metadata.cursor();
    return record?.of === scopeHash && record.cursor !== null ? { cursor: record.cursor } : {};
  }
}
