import { join } from 'node:path';
import type { BusCaller } from '#proto/bus/roles.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { findDeltas, locateDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { PATIENCE } from '../../transfer/steps.ts';
import type { Content } from '../worker/task.ts';

type Locating = { bus: BusCaller; data: string; repository: Repository };

/** A blob that the repository links. @throws Fault `blob-unknown` */
export async function locatedBlob({ bus, data, repository }: Locating, digest: Digest): Promise<Content> {
  const { path, size } = await bus.call(locateBlob, { repository, digest }, PATIENCE);
  return { digest, size, path: join(data, path) };
}

/** A delta that is held for the repository. @throws Fault `blob-unknown` */
export async function locatedDelta({ bus, data, repository }: Locating, digest: Digest): Promise<Content> {
  const { path, size, incomplete } = await bus.call(locateDelta, { repository, digest }, PATIENCE);
  if (incomplete)
    throw new Fault('blob-unknown', `delta ${digest} is still arriving`, { detail: { digest } });
  return { digest, size, path: join(data, path) };
}

/** Those of these blobs that are here and linked, in their order, whichever repository links them. */
export async function locatedBases(locating: Locating, digests: readonly Digest[]): Promise<Content[]> {
  const { bus, repository } = locating;
  const query = { repository, wanted: [], held: [...digests], elsewhere: true };
  const { bases } = await bus.call(findDeltas, query, PATIENCE);
  const found = await Promise.all(
    bases.map(async ({ digest, repositories: [linking] }) => {
      if (linking === undefined) return [];
      return locatedBlob({ ...locating, repository: linking }, digest).then(
        (content) => [content],
        (error) => {
          if (Fault.is(error, 'blob-unknown', 'name-unknown')) return [];
          throw error;
        },
      );
    }),
  );
  const known = new Map(found.flat().map((content) => [content.digest, content]));
  return digests.flatMap((digest) => known.get(digest) ?? []);
}

/** All of these blobs. @throws Fault `blob-unknown`, naming one that is not here */
export async function allLocatedBases(locating: Locating, digests: readonly Digest[]): Promise<Content[]> {
  const bases = await locatedBases(locating, digests);
  const missing = digests.find((digest) => bases.every((base) => base.digest !== digest));
  if (missing !== undefined) {
    throw new Fault('blob-unknown', `base ${missing} is not here`, { detail: { digest: missing } });
  }
  return bases;
}
