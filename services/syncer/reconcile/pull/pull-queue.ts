import { isPlatformWanted } from '#proto/content/platforms.ts';
import type { Digest } from '#proto/oci/names.ts';
import { partOf } from '../context/leave-out.ts';
import { readLeftOutManifests } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import { knownIn } from '../observe/plan-repository.ts';
import type { Survey } from '../observe/survey.ts';
import { rememberIfHidden } from './hidden-referrers.ts';
import type { Image } from './images.ts';

/** Images to pull in a pass: new targets of tags, and manifests here that may lack referrers or wanted children. */
export async function buildPullQueue(context: PassContext, surveys: Survey[]): Promise<Image[]> {
  const images: Image[] = [];
  for (const survey of surveys) {
    const { repository, selected, actions } = survey;
    const common = { survey, repository, priority: selected.priority };
    for (const one of actions) {
      const { tag, views, action } = one;
      const { kind, digest, loser } = action;
      if (kind !== 'take' || !digest) continue;
      context.unsentChanges.stays(repository, digest);
      const known = knownIn(context.configuration.mode, one);
      images.push({ ...common, ...known, tag, digest, expect: views.layer, loser });
    }
    for (const digest of await findRoots(context, survey)) {
      images.push({ ...common, tag: null, digest, expect: undefined, loser: undefined });
    }
  }
  return images;
}

/** Manifests here that may lack referrers, or children that are wanted now. */
async function findRoots(
  context: PassContext,
  { repository, selected, settled, isAllCompared }: Survey,
): Promise<Set<Digest>> {
  const { bus, signal, leftOutByParent, leftOut, passRequest, parent, parentChanges } = context;
  if (passRequest.scope && !isAllCompared) return new Set(passRequest.retries ? settled : []);
  rememberIfHidden(context, repository);
  const referrers = parent.hasReferrers(repository) && selected.referrers !== false;
  const digests = new Set(referrers || passRequest.full ? settled : []);
  const targets = new Set(settled);
  for (const { digest, platform, index } of await readLeftOutManifests(bus, repository, signal)) {
    if (!isPlatformWanted([platform], selected.platforms)) continue;
    const isKnown = leftOutByParent.has(partOf(repository, digest));
    // A child that the parent is known to lack is not asked for, but what its index lacks is reported again.
    if (targets.has(index) || (parentChanges && !isKnown)) digests.add(index);
    // Nested in another index, or no longer the target of any tag: it is reached through a target, if at all.
    else if (!isKnown) for (const target of settled) digests.add(target);
  }
  for (const digest of leftOut.imagesOf(repository)) {
    if (targets.has(digest) || (parentChanges && digest !== '')) digests.add(digest);
  }
  return digests;
}
