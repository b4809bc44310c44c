import { Fault } from '#proto/contract/fault.ts';
import type { Changes, ContentChange } from '#proto/sync/changes.ts';
import { type JournalEntry, readCursor } from '../metadata/journal.ts';
import type { Metadata } from '../metadata/metadata.ts';

type FeedDeps = { metadata: Metadata; isHeldBack?: () => boolean };

/** The journal of changes that children read. */
export class Feed {
  readonly #deps: FeedDeps;

  constructor(deps: FeedDeps) {
    this.#deps = deps;
  }

  /** @throws Fault `unavailable` while a restored layer compares with its parent first */
  async list(query: { after?: string; limit: number }): Promise<Changes> {
    if (this.#deps.isHeldBack?.()) {
      throw new Fault(
        'unavailable',
        'this layer was restored from a backup, and compares with its parent before layers below compare with it: retry',
      );
    }
    const repaired = await this.#deps.metadata.repaired();
    return { ...(await this.#list(query)), ...(repaired !== undefined && { repaired }) };
  }

  async #list({ after, limit }: { after?: string; limit: number }): Promise<Changes> {
    const { metadata } = this.#deps;
    const end = await metadata.journalEnd();
    const cursor = end ? cursorOf(...end) : '0.';
    const from = after === undefined ? undefined : readCursor(after);
    if (!from || !(await this.#knows(from))) {
      return { cursor, lost: after !== undefined, changes: [], more: false };
    }
    const entries = new Map<string, JournalEntry>();
    let last = after as string;
    let count = 0;
    for await (const [number, entry] of metadata.journal(from.number)) {
      if (count === limit)
        return { cursor: last, lost: false, changes: await this.#changesOf(entries), more: true };
      const [kind, repository, name] = entry;
      entries.set(`${kind}!${repository}!${name}`, entry);
      last = cursorOf(number, entry);
      count += 1;
    }
    return { cursor: last, lost: false, changes: await this.#changesOf(entries), more: false };
  }

  /** The entry itself must exist: otherwise entries after it may have been trimmed as well. */
  async #knows({ number, nonce }: { number: number; nonce: string }): Promise<boolean> {
    const { metadata } = this.#deps;
    if (number > 0) return (await metadata.journalEntry(number))?.[3] === nonce;
    for await (const [first] of metadata.journal(0)) return nonce === '' && first === 1;
    return nonce === '';
  }

  async #changesOf(entries: Map<string, JournalEntry>): Promise<ContentChange[]> {
    const changes: ContentChange[] = [];
    for (const [kind, repository, name] of entries.values()) {
      if (kind === 'm') changes.push({ repository, around: name });
      else {
        const digest = (await this.#deps.metadata.tag(repository, name)) ?? null;
        changes.push({ repository, tag: name, digest });
      }
    }
    return changes;
  }
}

const cursorOf = (number: number, [, , , nonce]: JournalEntry): string => `${number}.${nonce}`;
