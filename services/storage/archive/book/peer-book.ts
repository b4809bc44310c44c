import { randomHex } from '#proto/contract/random-hex.ts';
import { folderIdentity, isOtherFolder } from '#proto/volume/folder-identity.ts';
import { type Change, drop, type Metadata, put } from '../../metadata/metadata.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { PeerRecord } from '../../metadata/records.ts';

/** Changes of one batch. */
const BATCH = 5_000;
/** Instead of the number of a set: the content came from the peer. */
const FROM_PEER = 0;

export type PeerDeps = {
  metadata: Metadata;
  /** Absolute path of the data volume. */
  data: string;
  /** Of this layer. */
  instance: () => Promise<string>;
  now: () => number;
};

/**
 * The book of the other sides: what each was sent, and what came from it. A data volume that was restored, copied or
 * repaired knows less than the other side may have seen of it. It then begins an epoch of its own, in which its records
 * of tags count for nothing; what it has carried stays known.
 */
export class PeerBook {
  readonly #deps: PeerDeps;

  constructor(deps: PeerDeps) {
    this.#deps = deps;
  }

  /** Begins an epoch for a side that is not known, or if this volume is another one than that of the epoch. */
  async open(peer: string): Promise<PeerRecord> {
    const { metadata, data, instance, now } = this.#deps;
    const [repaired, restored] = await Promise.all([metadata.repaired(), metadata.restored()]);
    const bound = {
      instance: await instance(),
      place: folderIdentity(data),
      ...(repaired !== undefined && { repaired }),
      ...(restored && { restored: restored.restored }),
    };
    const known = await metadata.peer(peer);
    if (known && isSameVolume(known.bound, bound)) return known;
    const record: PeerRecord = {
      version: 1,
      epoch: randomHex(),
      // Other sides refuse an epoch that is older than the last one: the clock may have been set back.
      since: Math.max(now(), (known?.since ?? 0) + 1),
      bound,
      exported: Math.max(known?.exported ?? 0, known?.pending?.number ?? 0),
      acknowledged: 0,
      missing: [],
      lacking: [],
    };
    if (known) await this.#clear(metadata.tagVersions(peer), (key) => dropVersion(peer, key));
    await metadata.write(put.peer(peer, record));
    return record;
  }

  /** Content that one of these sets carried is to be carried again. @returns how much */
  async forgetCarried(peer: string, isLost: (number: number) => boolean): Promise<number> {
    return this.#clear(this.#deps.metadata.carried(peer), (digest, number) =>
      isLost(number) ? drop.carried(peer, digest) : [],
    );
  }

  /** The same for this content. */
  async forgetContent(peer: string, digests: readonly string[]): Promise<void> {
    await this.#deps.metadata.write(digests.flatMap((digest) => drop.carried(peer, digest)));
  }

  /** The peer has sent this content, so it is not sent back. */
  async hasSent(peer: string, digests: readonly string[]): Promise<void> {
    const { metadata } = this.#deps;
    for (let at = 0; at < digests.length; at += BATCH) {
      const batch = digests.slice(at, at + BATCH);
      await metadata.write(batch.flatMap((digest) => put.carried(peer, digest, FROM_PEER)));
    }
  }

  /** Forgets everything that is known of the peer. */
  async forgetPeer(peer: string): Promise<number> {
    const { metadata } = this.#deps;
    // The record last: if this is interrupted, it runs again.
    await this.#clear(metadata.tagVersions(peer), (key) => dropVersion(peer, key));
    const carried = await this.forgetCarried(peer, () => true);
    await this.#clear(metadata.archiveSets(peer), (number) => drop.archiveSet(peer, Number(number)));
    await metadata.write(drop.peer(peer));
    return carried;
  }

  async #clear<T>(
    records: AsyncIterable<[string, T]>,
    changesOf: (key: string, value: T) => Change[],
  ): Promise<number> {
    const { metadata } = this.#deps;
    let count = 0;
    let changes: Change[] = [];
    for await (const [key, value] of records) {
      const dropped = changesOf(key, value);
      count += dropped.length;
      for (const change of dropped) changes.push(change);
      if (changes.length < BATCH) continue;
      await metadata.write(changes);
      changes = [];
    }
    await metadata.write(changes);
    return count;
  }
}

/** Which of these the peer was sent in a set up to this number. */
export async function carriedUpTo(
  metadata: MetadataReader,
  peer: string,
  digests: string[],
  number: number,
): Promise<boolean[]> {
  const carried = await metadata.carriedByDigest(peer, digests);
  return carried.map((set) => set !== undefined && set <= number);
}

/** The first number that no set of the peer has. */
export const nextNumber = ({ exported, pending }: PeerRecord): number =>
  Math.max(exported, pending?.number ?? 0) + 1;

const isSameVolume = (one: PeerRecord['bound'], other: PeerRecord['bound']): boolean =>
  one.instance === other.instance &&
  one.repaired === other.repaired &&
  one.restored === other.restored &&
  !isOtherFolder(one.place, other.place);

function dropVersion(peer: string, key: string): Change[] {
  const [repository, tag] = key.split('!') as [string, string];
  return drop.tagVersion(peer, repository, tag);
}
