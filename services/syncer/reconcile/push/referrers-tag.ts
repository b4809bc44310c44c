import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, isIndexType, type Manifest, mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import type { PassContext } from '../context/pass-context.ts';

/** Max attempts to write the list, if another client changes it meanwhile. */
const MAX_ATTEMPTS = 5;

/** Tag of a subject's list of referrers (distribution-spec 1.1, "Referrers Tag Schema"). */
export const referrersTag = (subject: Digest): string => subject.replace(':', '-').slice(0, 128);

/**
 * Adds a manifest to its subject's list of referrers at a parent without the referrers API: an index under a tag
 * (distribution-spec 1.1, "Pushing Manifests with Subject"). Such a parent has no conditional writes either, so that of
 * two concurrent updates by different clients one may be lost.
 */
export async function noteReferrer(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  { digest, mediaType, bytes, manifest }: FetchedManifest & { manifest: Manifest },
): Promise<void> {
  const { artifactType, annotations } = manifest;
  const entry = {
    mediaType,
    digest,
    size: bytes.length,
    ...(artifactType && { artifactType }),
    ...(annotations && { annotations }),
  };
  await updateList(context, repository, subject, (listed) =>
    listed.some((one) => one.digest === digest) ? undefined : [...listed, entry],
  );
}

/** Removes a deleted manifest from the list. */
export async function forgetReferrer(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  digest: Digest,
): Promise<void> {
  await updateList(context, repository, subject, (listed) =>
    listed.some((one) => one.digest === digest) ? listed.filter((one) => one.digest !== digest) : undefined,
  );
}

/** Updates of one list by this process run one at a time: concurrent ones would overwrite each other's entry. */
const lists = new KeyedLock();

async function updateList(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  edit: (listed: Descriptor[]) => Descriptor[] | undefined,
): Promise<void> {
  await lists.run(`${repository}@${subject}`, () => updateLocked(context, repository, subject, edit));
}

async function updateLocked(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  edit: (listed: Descriptor[]) => Descriptor[] | undefined,
): Promise<void> {
  const { parent, pushClient, signal } = context;
  const tag = referrersTag(subject);
  const find = () =>
    parent.manifest(repository, tag, signal).catch((error) => {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    });
  for (let attempt = 1; ; attempt += 1) {
    const current = await find();
    // Some registries resolve the tag to the digest that it spells.
    const isSubject = current?.digest === subject;
    const listed = current && !isSubject ? listIn(current) : [];
    const manifests = edit(listed ?? []);
    if (!manifests) return;
    if (!listed) throw notAList(repository, tag);
    if (isSubject && unlistable.has(parent)) throw noLists(repository, tag);
    const mediaType = mediaTypes.ociIndex;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
    try {
      await pushClient.putManifest(repository, tag, { bytes, mediaType }, signal, {
        expect: current?.digest,
      });
    } catch (error) {
      if (!Fault.is(error, 'conflict') || attempt === MAX_ATTEMPTS) throw error;
      continue;
    }
    if (!isSubject || (await find())?.digest !== subject) return;
    unlistable.add(parent);
    throw noLists(repository, tag);
  }
}

/** Parents at which the tag of a list can be written and not be read. */
const unlistable = new WeakSet<PassContext['parent']>();

/** The entries of a list of referrers; undefined if the content is something else, such as an index of platforms. */
function listIn({ bytes, mediaType }: FetchedManifest): Descriptor[] | undefined {
  const manifest = readManifest(bytes, mediaType);
  const isList =
    isIndexType(manifest.mediaType) &&
    manifest.blobs.length === 0 &&
    manifest.manifests.every(({ artifactType, platform }) => artifactType || !platform);
  return isList ? manifest.manifests : undefined;
}

const notAList = (repository: Repository, tag: string): Fault =>
  new Fault(
    'parent-refused',
    `${repository}:${tag} at the parent is no list of referrers, and is left as it is: the manifest is there, and clients find it by its digest only; delete that tag at the parent to have it listed`,
  );

const noLists = (repository: Repository, tag: string): Fault =>
  new Fault(
    'parent-refused',
    `the parent has no referrers API, and answers ${repository}:${tag} with the image itself: the manifest is there, and clients find it by its digest only; use a parent with referrers`,
  );
