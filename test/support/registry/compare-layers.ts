import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { getManifest, repositoriesOf, tagsOf } from './registry.ts';
import { blobsOf, type Place, type Traffic } from './traffic.ts';
import { readBlob, referrersOf } from './walk.ts';

const DANGLING = 'listed, but not there';

/** `repository:tag` to digest, of all that a registry has. */
export async function tagsAt(host: string): Promise<Map<string, string>> {
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
 * docker-registry deletes a manifest first and then looks for its tags. Killed in between, or while a client writes one
 * of the tags, it lists them for ever and answers 404: clients have no such tag there.
 */
function forgetDangling({ name, tags }: { name: string; tags: Map<string, string> }): void {
  if (name !== 'cloud') return;
  for (const [tag, digest] of tags) if (digest === DANGLING) tags.delete(tag);
}

/** @returns a sentence for each tag that not all places have alike */
export async function differences(places: Place[]): Promise<string[]> {
  const all = await Promise.all(places.map(async ({ name, host }) => ({ name, tags: await tagsAt(host) })));
  all.forEach(forgetDangling);
  const names = [...new Set(all.flatMap(({ tags }) => [...tags.keys()]))].sort();
  return names.flatMap((name) => {
    const found = all.map((place) => `${place.name}: ${place.tags.get(name)?.slice(0, 19) ?? 'none'}`);
    return new Set(all.map(({ tags }) => tags.get(name))).size === 1 ? [] : [`${name} ${found.join(', ')}`];
  });
}

export type ReportProgress = {
  /** Acknowledged, deleted by nobody: all of these must be in the cloud. */
  kept: number;
  tagged: number;
  underConflictTag: number;
  /** Only by digest: it never had a tag, or a client who saw it moved the tag on. */
  byDigest: number;
  /**
   * Only by digest: it was under its tag in the cloud until another one was put there in the same moment, which a
   * cloud without conditional requests can't tell from a change that follows.
   */
  overwritten: number;
  /** Of these, how many refer to another manifest. */
  referrers: number;
  blobs: number;
  /** A sentence for each that is missing. */
  lost: string[];
};

/**
 * What became of every acknowledged push.
 * @param root of the cloud's files, which tell what a tag once pointed to
 */
export async function reckon(traffic: Traffic, cloud: Place, root: string): Promise<ReportProgress> {
  const tags = await tagsAt(cloud.host);
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
  for (const told of traffic.told) {
    const { repository, tag, digest, place } = told;
    if (traffic.undone.has(`${repository}@${digest}`)) continue;
    result.kept += 1;
    if (told.subject) result.referrers += 1;
    const at = [...tags].filter(([name, found]) => name.startsWith(`${repository}:`) && found === digest);
    if (at.some(([name]) => !name.includes('.conflict-'))) result.tagged += 1;
    else if (at.length > 0) result.underConflictTag += 1;
    else if (!tag || traffic.moved.has(`${repository}:${tag}@${digest}`)) result.byDigest += 1;
    else if (place === cloud.name || (await wasThere(root, repository, tag, digest))) result.overwritten += 1;
    else
      lost.push(`${place} was told 201 for ${repository}:${tag ?? ''} ${digest}: no tag of the cloud has it`);
    if (checked.has(`${repository}@${digest}`)) continue;
    checked.add(`${repository}@${digest}`);
    try {
      const manifest = await getManifest(cloud.host, repository, digest);
      if (!manifest) throw new Error('the cloud does not have it');
      const { subject } = told;
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
        `${place} was told 201 for ${repository}:${tag ?? ''} ${digest}: ${(error as Error).message}`,
      );
    }
  }
  return { ...result, lost };
}

/** docker-registry keeps a file for each digest that a tag had since it was last deleted. */
async function wasThere(root: string, repository: string, tag: string, digest: string): Promise<boolean> {
  const tags = join(root, 'registry/docker/registry/v2/repositories', repository, '_manifests/tags', tag);
  const link = join(tags, 'index', ...digest.split(':'), 'link');
  return access(link).then(
    () => true,
    () => false,
  );
}
