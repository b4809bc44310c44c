import { setBase } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { readManifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { sent } from '../../link/http/sending.ts';
import type { PassContext } from '../context/pass-context.ts';
import { EMPTY, EMPTY_DIGEST, placeholder } from '../context/placeholder.ts';
import { forgetReferrer } from './referrers-tag.ts';

/**
 * Takes a tag away at the parent, if it still points there to what is expected. Where that can't be done by its name,
 * the manifest goes with it, or a placeholder in its stead.
 * @param condition `shared`: the manifest is to outlive the tag
 * @throws Fault; `conflict` where the tag moved, `parent-refused`
 */
export async function withdrawTag(
  context: PassContext,
  repository: Repository,
  tag: Tag,
  { expect, shared }: Expected,
): Promise<void> {
  const { bus, deletions, parent, upward, signal } = context;
  const found = await parent.resolve(repository, tag, signal);
  const stand = placeholder(repository, tag);
  if (found === stand.digest) await upward.deleteManifest(repository, found, signal);
  else if (found !== undefined) {
    if (found !== expect) {
      throw moved(repository, tag);
    }
    const byName = await upward.deleteTag(repository, tag, { expect }, signal);
    // docker-registry deletes a manifest first, then looks through all tags for those of it. If that fails, because one
    // of them is just being written, it lists them for ever: so nothing else is withdrawn there meanwhile.
    if (!byName) {
      await deletions.run(repository, () => withdrawByDigest(context, repository, tag, { expect, shared }));
    }
  }
  await bus.call(setBase, { repository, tag, digest: null });
}

type Expected = { expect: Digest; shared: () => Promise<boolean> };

/** A parent that does not delete by name knows no conditions: it may have got another change since. */
async function withdrawByDigest(
  context: PassContext,
  repository: Repository,
  tag: Tag,
  { expect, shared }: Expected,
): Promise<void> {
  const { parent, upward, signal } = context;
  if (!(await shared())) return upward.deleteManifest(repository, expect, signal);
  const stand = placeholder(repository, tag);
  await putEmpty(context, repository);
  // A parent that deletes nothing at all would be left with it: by its digest it stands in nobody's way.
  await upward.putManifest(repository, stand.digest, stand, signal);
  await upward.deleteManifest(repository, stand.digest, signal);
  if ((await parent.resolve(repository, tag, signal)) !== expect) throw moved(repository, tag);
  await upward.putManifest(repository, tag, stand, signal, { expect });
  await upward.deleteManifest(repository, stand.digest, signal);
}

const moved = (repository: Repository, tag: Tag): Fault =>
  new Fault('conflict', `${repository}:${tag} moved at the parent: the next pass decides again`);

/** Deletes a manifest at the parent, with the tags that point to it. @throws Fault `parent-refused` */
export async function withdrawManifest(
  context: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const { parent, upward, signal } = context;
  const subject = await subjectOf(context, repository, digest);
  await upward.deleteManifest(repository, digest, signal);
  if (!subject || (await parent.referrers(repository, subject, signal))) return;
  await forgetReferrer(context, repository, subject, digest);
}

async function subjectOf(
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

/** The placeholder refers to it. Two bytes need no job. */
async function putEmpty({ upward, signal }: PassContext, repository: Repository): Promise<void> {
  if (await upward.hasBlob(repository, EMPTY_DIGEST, signal)) return;
  const session = await upward.begin(repository, EMPTY_DIGEST, signal);
  await upward.finish(repository, EMPTY_DIGEST, session, sent(EMPTY), signal);
}
