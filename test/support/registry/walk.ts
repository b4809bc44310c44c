import { createHash } from 'node:crypto';
import { parseManifest } from '#proto/oci/manifest.ts';
import { expectStatus, getManifest, type Pushed, repositoriesOf, request, tagsOf } from './registry.ts';

/** Everything that can be reached from a reference: children of indexes, and referrers of all that is found. */
export type Reached = {
  root: string;
  manifests: Map<string, Pushed>;
  /** Digest to size, as in the manifests. */
  blobs: Map<string, number>;
  /** For each manifest, the digests of its referrers, sorted. */
  referrers: Map<string, string[]>;
};

export async function walk(host: string, repository: string, reference: string): Promise<Reached> {
  const root = await getManifest(host, repository, reference);
  if (!root) throw new Error(`${host} has no ${repository} ${reference}`);
  const reached: Reached = {
    root: root.digest,
    manifests: new Map(),
    blobs: new Map(),
    referrers: new Map(),
  };
  const pending: string[] = [root.digest];
  for (let digest = pending.pop(); digest; digest = pending.pop()) {
    if (reached.manifests.has(digest)) continue;
    const manifest = await getManifest(host, repository, digest);
    if (!manifest)
      throw new Error(`${host} has no ${repository} ${digest}, which can be reached from ${reference}`);
    reached.manifests.set(digest, manifest);
    const { blobs, manifests } = parseManifest(manifest.bytes, manifest.mediaType);
    for (const blob of blobs) reached.blobs.set(blob.digest, blob.size);
    const referrers = await referrersOf(host, repository, digest);
    reached.referrers.set(digest, referrers);
    pending.push(...manifests.map((child) => child.digest), ...referrers);
  }
  return reached;
}

/** By the referrers API; if the registry does not support it, by the fallback tag. */
export async function referrersOf(host: string, repository: string, digest: string): Promise<string[]> {
  const response = await expectStatus([200, 404], request(host, `/v2/${repository}/referrers/${digest}`));
  const text = await response.text();
  const list = response.ok
    ? text
    : (await getManifest(host, repository, digest.replace(':', '-')))?.bytes.toString();
  const { manifests } = list ? (JSON.parse(list) as { manifests: { digest: string }[] }) : { manifests: [] };
  return manifests.map((entry) => entry.digest).sort();
}

/** Reads a blob. @returns its size. @throws if its hash is not the digest */
export async function readBlob(host: string, repository: string, digest: string): Promise<number> {
  const response = await expectStatus([200], request(host, `/v2/${repository}/blobs/${digest}`));
  const [algorithm, hex] = digest.split(':') as [string, string];
  const hash = createHash(algorithm);
  let size = 0;
  for await (const piece of response.body ?? []) {
    hash.update(piece);
    size += piece.byteLength;
  }
  const found = hash.digest('hex');
  if (found !== hex) throw new Error(`${host} serves ${size} bytes of ${algorithm}:${found} as ${digest}`);
  return size;
}

/** Walks and reads every blob. @throws if anything is missing or has another hash or size */
export async function readAll(host: string, repository: string, reference: string): Promise<Reached> {
  const reached = await walk(host, repository, reference);
  for (const [digest, size] of reached.blobs) {
    const found = await readBlob(host, repository, digest);
    if (found !== size)
      throw new Error(`${host}: ${digest} has ${found} bytes, its manifest has the size ${size}`);
  }
  return reached;
}

/**
 * Compares every tag, every manifest byte by byte, and every blob by the hash of its bytes.
 * @returns the first difference as a sentence; undefined if there is none
 */
export async function firstDifference(
  a: string,
  b: string,
  repositories?: string[],
): Promise<string | undefined> {
  const names = repositories ?? [...new Set([...(await repositoriesOf(a)), ...(await repositoriesOf(b))])];
  for (const repository of names) {
    const difference = await compareRepository(a, b, repository);
    if (difference) return `${repository}: ${difference}`;
  }
  return undefined;
}

async function compareRepository(a: string, b: string, repository: string): Promise<string | undefined> {
  const [tagsA, tagsB] = [await tagsOf(a, repository), await tagsOf(b, repository)];
  const unmatched = tagsA.find((tag) => !tagsB.includes(tag)) ?? tagsB.find((tag) => !tagsA.includes(tag));
  if (unmatched !== undefined) return `only ${tagsA.includes(unmatched) ? a : b} has the tag ${unmatched}`;
  const read = new Set<string>();
  for (const tag of tagsA) {
    try {
      const [inA, inB] = [await walk(a, repository, tag), await walk(b, repository, tag)];
      const difference = compareReached(inA, inB);
      if (difference) return `${tag}: ${difference}`;
      for (const [digest, size] of inA.blobs) {
        if (read.has(digest)) continue;
        const found = await readBlob(b, repository, digest);
        if (found !== size) return `${tag}: ${digest} has ${found} bytes instead of ${size}`;
        read.add(digest);
      }
    } catch (error) {
      return `${tag}: ${(error as Error).message}`;
    }
  }
  return undefined;
}

function compareReached(a: Reached, b: Reached): string | undefined {
  if (a.root !== b.root) return `${a.root} here, ${b.root} there`;
  for (const [digest, manifest] of a.manifests) {
    const other = b.manifests.get(digest);
    if (!other) return `manifest ${digest} is not reached there`;
    if (!manifest.bytes.equals(other.bytes)) return `manifest ${digest} has other bytes there`;
    if (manifest.mediaType !== other.mediaType)
      return `${digest} is ${manifest.mediaType} here, ${other.mediaType} there`;
    const [ofA, ofB] = [a.referrers.get(digest), b.referrers.get(digest)];
    if (String(ofA) !== String(ofB)) return `${digest} has the referrers [${ofA}] here, [${ofB}] there`;
  }
  return undefined;
}
