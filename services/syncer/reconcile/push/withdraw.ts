import { type KnownTag, setBases } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { bodyOf } from '../../link/http/sending.ts';
import type { PassContext } from '../context/pass-context.ts';
import { EMPTY, EMPTY_DIGEST, placeholder } from '../context/placeholder.ts';
import { beginSends, dropIfDenied, recordSent } from './begin-sends.ts';
import { forgetReferrer } from './referrers-tag.ts';

/**
 * Deletes a tag at the parent, if it still has the expected target. If the parent can't delete tags by name, the
 * manifest is deleted with the tag; if the manifest has to remain (`shared`), the tag is moved to a placeholder first.
 * @throws Fault; `conflict` if the tag moved, `parent-refused`
 */
export async function withdrawTag(
  context: PassContext,
  repository: Repository,
  tag: Tag,
  { expect, shared, known }: Expected & { known: KnownTag },
): Promise<void> {
  const { bus, deletions, parent, pushClient, signal } = context;
  const current = await parent.resolve(repository, tag, signal);
  const marker = placeholder(repository, tag);
  if (current === undefined) {
    await bus.call(setBases, { repository, bases: [{ tag, digest: null, known }] });
    return;
  }
  if (current !== marker.digest && current !== expect) throw moved(repository, tag);
  const move = { tag, base: expect, digest: null, known };
  using _ = await beginSends(context, repository, { digests: [], move });
  try {
    if (current === marker.digest) await pushClient.deleteManifest(repository, current, signal);
    else {
      const isDeleted = await pushClient.deleteTag(repository, tag, { expect }, signal);
      // docker-registry deletes a manifest first, and then searches all tags for those that point to it. If that
      // fails, because one of them is being written, they stay in its list forever. So withdrawals by digest run one
      // at a time per repository.
      if (!isDeleted) {
        await deletions.run(repository, () => withdrawByDigest(context, repository, tag, { expect, shared }));
      }
    }
  } catch (error) {
    // A withdrawal by digest may have moved the tag to a placeholder before it was refused.
    await dropIfDenied(context, repository, move, (current) => current !== expect, error);
    throw error;
  }
  await recordSent(context, repository, move);
}

/** `shared`: whether the manifest has to remain at the parent. */
type Expected = { expect: Digest; shared: () => Promise<boolean> };

/** A parent without deletion of tags has no conditional writes either: the tag is read again before it is moved. */
async function withdrawByDigest(
  context: PassContext,
  repository: Repository,
  tag: Tag,
  { expect, shared }: Expected,
): Promise<void> {
  const { parent, pushClient, signal } = context;
  if (!(await shared())) return pushClient.deleteManifest(repository, expect, signal);
  const marker = placeholder(repository, tag);
  await putEmpty(context, repository);
  // First by digest, where it does no harm: a parent that refuses all deletions would retain the placeholder.
  await pushClient.putManifest(repository, marker.digest, marker, signal);
  await pushClient.deleteManifest(repository, marker.digest, signal);
  if ((await parent.resolve(repository, tag, signal)) !== expect) throw moved(repository, tag);
  await pushClient.putManifest(repository, tag, marker, signal, { expect });
  await pushClient.deleteManifest(repository, marker.digest, signal);
}

const moved = (repository: Repository, tag: Tag): Fault =>
  new Fault('conflict', `${repository}:${tag} moved at the parent: the next pass decides again`);

/** Deletes a manifest at the parent, with the tags that point to it. @throws Fault `parent-refused` */
export async function withdrawManifest(
  context: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const { parent, pushClient, signal } = context;
  const subject = await readSubject(context, repository, digest);
  await pushClient.deleteManifest(repository, digest, signal);
  if (!subject || (await parent.referrers(repository, subject, signal))) return;
  await forgetReferrer(context, repository, subject, digest);
}

async function readSubject(
  { parent, signal }: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<Digest | undefined> {
  try {
    const { bytes, mediaType } = await parent.manifest(repository, digest, signal);
    return readManifest(bytes, mediaType).subject?.digest;
  } catch (error) {
    if (Fault.is(error, 'manifest-unknown', 'manifest-invalid')) return undefined;
    throw error;
  }
}

/** Pushes the empty blob, which the placeholder refers to. Two bytes need no job. */
async function putEmpty({ pushClient, signal }: PassContext, repository: Repository): Promise<void> {
  if (await pushClient.hasBlob(repository, EMPTY_DIGEST, signal)) return;
  const session = await pushClient.uploads.begin(repository, EMPTY_DIGEST, signal);
  await pushClient.uploads.finish(repository, EMPTY_DIGEST, session, bodyOf(EMPTY), signal);
}
