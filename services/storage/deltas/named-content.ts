import type { MetadataReader } from '../metadata/metadata-reader.ts';
import { page } from '../metadata/page.ts';

/** Repositories read at a time. */
const PAGE = 1_000;
/** Max repositories named of each. */
const MAX_NAMED = 4;
/** Max links that one question reads: content that a later repository links counts as linked by none. */
const MAX_READS = 30_000;
/** Max characters of all names of other repositories: with the rest of an answer, they fit into a message. */
const MAX_NAMES_CHARACTERS = 64 * 1024;

/** Whether a repository or an image that is still in transfer names the content. Reads one record per repository. */
export async function isNamed(metadata: MetadataReader, digest: string): Promise<boolean> {
  if ((await metadata.transferredByDigest([digest]))[0]) return true;
  for await (const names of repositoryPages(metadata)) {
    const [links, manifests] = await Promise.all([
      metadata.linksByRepository(names, digest),
      metadata.manifestsByRepository(names, digest),
    ]);
    if (links.some(Boolean) || manifests.some(Boolean)) return true;
  }
  return false;
}

/** Repositories that link each of these: `first` if it does, otherwise none. */
export async function linkedBy(
  metadata: MetadataReader,
  digests: readonly string[],
  first: string,
): Promise<Map<string, string[]>> {
  const ofFirst = await metadata.linksByDigest(first, [...digests]);
  return new Map(digests.map((digest, i) => [digest, ofFirst[i] ? [first] : []]));
}

/**
 * Repositories that link each of these: `first` alone if it does, otherwise the first four in bytewise order, as far as
 * their names are not too long in all.
 * @param maxReads links that are read
 */
export async function linkingRepositories(
  metadata: MetadataReader,
  digests: readonly string[],
  first: string,
  maxReads = MAX_READS,
): Promise<Map<string, string[]>> {
  const linking = await linkedBy(metadata, digests, first);
  const searched = new Set(digests.filter((digest) => linking.get(digest)?.length === 0));
  let left = maxReads;
  let room = MAX_NAMES_CHARACTERS;
  for await (const names of repositoryPages(metadata)) {
    for (const digest of searched) {
      left -= names.length;
      if (left < 0) return linking;
      const found = linking.get(digest)!;
      const links = await metadata.linksByRepository(names, digest);
      for (const [i, name] of names.entries()) {
        if (!links[i] || found.length === MAX_NAMED) continue;
        room -= name.length;
        if (room < 0) return linking;
        found.push(name);
      }
      if (found.length === MAX_NAMED) searched.delete(digest);
    }
    if (searched.size === 0) break;
  }
  return linking;
}

async function* repositoryPages(metadata: MetadataReader): AsyncGenerator<string[]> {
  let after: string | undefined;
  for (let more = true; more; ) {
    let entries: [string, object][];
    [entries, more] = await page(metadata.repositories(after), PAGE);
    const names = entries.map(([name]) => name);
    after = names.at(-1);
    if (names.length > 0) yield names;
  }
}
