import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, type Manifest, mediaTypes, readManifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { FetchedManifest } from '../../link/parent/parent.ts';
import type { PassContext } from '../context/pass-context.ts';

/** How often the list is read again because somebody else changed it meanwhile. */
const ATTEMPTS = 5;

/** distribution-spec 1.1, "Referrers Tag Schema" */
export const referrersTag = (subject: Digest): string => subject.replace(':', '-').slice(0, 128);

/**
 * Enters a manifest into the list of what refers to its subject, at a parent that keeps none of its own: an index
 * under a tag (distribution-spec 1.1, "Pushing Manifests with Subject"). Such a parent knows no conditions either, so
 * of two that write at the same moment one may be lost, as with every other client.
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
  await change(context, repository, subject, (listed) =>
    listed.some((one) => one.digest === digest) ? undefined : [...listed, entry],
  );
}

/** Takes a manifest that is deleted out of the list. */
export async function forgetReferrer(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  digest: Digest,
): Promise<void> {
  await change(context, repository, subject, (listed) =>
    listed.some((one) => one.digest === digest) ? listed.filter((one) => one.digest !== digest) : undefined,
  );
}

/** Of one list, one change at a time is made here: two at once would each take the other's entry away. */
const lists = new KeyedLock();

async function change(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  edit: (listed: Descriptor[]) => Descriptor[] | undefined,
): Promise<void> {
  await lists.run(`${repository}@${subject}`, () => changeAlone(context, repository, subject, edit));
}

async function changeAlone(
  context: PassContext,
  repository: Repository,
  subject: Digest,
  edit: (listed: Descriptor[]) => Descriptor[] | undefined,
): Promise<void> {
  const { parent, upward, signal } = context;
  const tag = referrersTag(subject);
  for (let attempt = 1; ; attempt += 1) {
    const found = await parent.manifest(repository, tag, signal).catch((error) => {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    });
    const listed = found ? readManifest(found.bytes, found.mediaType).manifests : [];
    const manifests = edit(listed);
    if (!manifests) return;
    const mediaType = mediaTypes.ociIndex;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
    try {
      await upward.putManifest(repository, tag, { bytes, mediaType }, signal, { expect: found?.digest });
      return;
    } catch (error) {
      if (!Fault.is(error, 'conflict') || attempt === ATTEMPTS) throw error;
    }
  }
}
