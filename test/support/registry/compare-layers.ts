import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { getManifest, repositoriesOf, tagsOf } from './registry.ts';
import { blobsOf, type Place, type Traffic } from './traffic.ts';
import { readBlob, referrersOf } from './walk.ts';

const DANGLING = 'listed, but missing';

/** All tags of a registry: `repository:tag` to digest. */
export async function allTagsOf(host: string): Promise<Map<string, string>> {
  const tags = new Map<string, string>();
  for (const repository of await repositoriesOf(host)) {
    for (const tag of await tagsOf(host, repository)) {
      const manifest = await getManifest(host, repository, tag);
      tags.set(`${repository}:${tag}`, manifest?.digest ?? DANGLING);
    }
  }
  return tags;
}

/**
 * docker-registry deletes a manifest before its tags. If it is killed in between, or if a client writes one of the tags
 * meanwhile, it lists these tags forever and answers 404: for clients they do not exist.
 */
function dropDangling({ name, tags }: { name: string; tags: Map<string, string> }): void {
  if (name !== 'cloud') return;
  for (const [tag, digest] of tags) if (digest === DANGLING) tags.delete(tag);
}

/** @returns a sentence for each tag that differs between places */
export async function differences(places: Place[]): Promise<string[]> {
  const all = await Promise.all(
    places.map(async ({ name, host }) => ({ name, tags: await allTagsOf(host) })),
  );
  all.forEach(dropDangling);
  const names = [...new Set(all.flatMap(({ tags }) => [...tags.keys()]))].sort();
  return names.flatMap((name) => {
    const found = all.map((place) => `${place.name}: ${place.tags.get(name)?.slice(0, 19) ?? 'none'}`);
    return new Set(all.map(({ tags }) => tags.get(name))).size === 1 ? [] : [`${name} ${found.join(', ')}`];
  });
}

export type PushReport = {
  /** Acknowledged pushes that no client has undone: all of them must be in the cloud. */
  kept: number;
  tagged: number;
  underConflictTag: number;
  /** Reachable by digest only: it never had a tag, or a client that had read the tag moved it. */
  byDigest: number;
  /**
   * Reachable by digest only: its tag in the cloud was overwritten by a concurrent push, which a cloud without
   * conditional requests can't distinguish from a later change.
   */
  overwritten: number;
  /** Number of these that refer to another manifest. */
  referrers: number;
  blobs: number;
  /** A sentence for each missing one. */
  lost: string[];
};

/**
 * Looks for every acknowledged push in the cloud.
 * @param root of the cloud's files, which record what a tag has pointed to
 */
export async function checkPushes(traffic: Traffic, cloud: Place, root: string): Promise<PushReport> {
  const tags = await allTagsOf(cloud.host);
  const result = {
    kept: 0,
    tagged: 0,
    underConflictTag: 0,
    byDigest: 0,
    overwritten: 0,
    referrers: 0,
    blobs: 0,
  };
  const lost: string[] = [];
  const checked = new Set<string>();
  for (const push of traffic.acknowledged) {
    const { repository, tag, digest, place } = push;
    if (traffic.deletedOrUntagged.has(`${repository}@${digest}`)) continue;
    result.kept += 1;
    if (push.subject) result.referrers += 1;
    const pointers = [...tags].filter(
      ([name, found]) => name.startsWith(`${repository}:`) && found === digest,
    );
    if (pointers.some(([name]) => !name.includes('.conflict-'))) result.tagged += 1;
    else if (pointers.length > 0) result.underConflictTag += 1;
    else if (!tag || traffic.movedFrom.has(`${repository}:${tag}@${digest}`)) result.byDigest += 1;
    else if (place === cloud.name || (await wasTagged(root, repository, tag, digest)))
      result.overwritten += 1;
    else
      lost.push(
        `${place} answered 201 for ${repository}:${tag ?? ''} ${digest}: no tag of the cloud points to it`,
      );
    if (checked.has(`${repository}@${digest}`)) continue;
    checked.add(`${repository}@${digest}`);
    try {
      const manifest = await getManifest(cloud.host, repository, digest);
      if (!manifest) throw new Error('the cloud has no such manifest');
      const { subject } = push;
      if (subject && !(await referrersOf(cloud.host, repository, subject)).includes(digest))
        throw new Error(`the cloud does not list it as a referrer of ${subject}`);
      for (const blob of blobsOf(manifest.bytes)) {
        if (checked.has(`${repository}@${blob}`)) continue;
        checked.add(`${repository}@${blob}`);
        await readBlob(cloud.host, repository, blob);
        result.blobs += 1;
      }
    } catch (error) {
      lost.push(
        `${place} answered 201 for ${repository}:${tag ?? ''} ${digest}: ${(error as Error).message}`,
      );
    }
  }
  return { ...result, lost };
}

/** docker-registry stores a file for each digest that a tag has pointed to since it was last deleted. */
async function wasTagged(root: string, repository: string, tag: string, digest: string): Promise<boolean> {
  const tags = join(root, 'registry/docker/registry/v2/repositories', repository, '_manifests/tags', tag);
  const link = join(tags, 'index', ...digest.split(':'), 'link');
  return access(link).then(
    () => true,
    () => false,
  );
}
