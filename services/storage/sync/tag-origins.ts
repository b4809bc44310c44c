import type { TagOrigin } from '#proto/content/images.ts';
import { currentCaller } from '../audit/caller-context.ts';
import { type Metadata, put } from '../metadata/metadata.ts';
import type { TagOriginRecord } from '../metadata/records.ts';

type OriginsDeps = {
  metadata: Pick<Metadata, 'originsSince' | 'parent' | 'child' | 'write'>;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/** Max length of the name of a parent or an account, in characters. */
const MAX_NAME = 256;

/**
 * Where the target of each tag came from, and since when it has it: recorded in the batch that moves the tag. Tags that
 * were moved before these records existed have none: of them it is known only that they are older.
 */
export class TagOrigins {
  readonly #deps: OriginsDeps;
  /** Since when origins are recorded in this metadata, in ms since 1970. */
  readonly #recordedSince: number;

  static async open(deps: OriginsDeps): Promise<TagOrigins> {
    const { metadata, now } = deps;
    const known = await metadata.originsSince();
    const since = known ?? Math.max(0, now());
    if (known === undefined) await metadata.write(put.originsSince(since));
    return new TagOrigins(deps, since);
  }

  private constructor(deps: OriginsDeps, recordedSince: number) {
    this.#deps = deps;
    this.#recordedSince = recordedSince;
  }

  /** The record of a move that the current caller makes. */
  async recordOf(digest: string, arrived: boolean): Promise<TagOriginRecord> {
    const { metadata, now } = this.#deps;
    const moved = { version: 1, digest, since: Math.max(0, now()) } as const;
    if (arrived) {
      const [name] = (await metadata.parent())?.split('#', 1) ?? [];
      return { ...moved, from: 'parent', ...(name && { name: name.slice(0, MAX_NAME) }) };
    }
    const { account: name } = currentCaller();
    if (name === undefined) return { ...moved, from: 'client' };
    const isChild = (await metadata.child(name)) !== undefined;
    return { ...moved, from: isChild ? 'child' : 'client', name };
  }

  /** @param record of a tag that points to `digest` */
  of(record: TagOriginRecord | undefined, digest: string): TagOrigin {
    if (!record) return { from: 'unknown', before: this.#recordedSince };
    // An earlier version of Terrace has moved the tag since.
    if (record.digest !== digest) return { from: 'unknown' };
    const { from, name, since } = record;
    return { from, since, ...(name !== undefined && { name }) };
  }
}
