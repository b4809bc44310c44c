import type { Digest, Repository } from '#proto/oci/names.ts';
import { leftOutOf } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';
import { choose } from '../select/platforms.ts';
import type { Image } from './images.ts';

/** Images to pull in a pass: new targets of tags, and manifests here that may lack referrers or wanted children. */
export async function pullQueue(context: PassContext, surveys: Survey[]): Promise<Image[]> {
  const images: Image[] = [];
  for (const survey of surveys) {
    const { repository, selected, actions } = survey;
    const common = { survey, repository, priority: selected.priority };
    for (const { tag, views, action } of actions) {
      const { kind, digest, loser } = action;
      if (kind !== 'take' || !digest) continue;
      context.unsentChanges.stays(repository, digest);
      images.push({ ...common, tag, digest, expect: views.layer, loser });
    }
    for (const digest of await roots(context, survey)) {
      images.push({ ...common, tag: null, digest, expect: undefined, loser: undefined });
    }
  }
  return images;
}

/** Manifests here that may lack referrers, or children that are wanted now. */
async function roots(context: PassContext, { repository, selected, settled }: Survey): Promise<Set<Digest>> {
  const { bus, signal, skippedByParent, passRequest, parent } = context;
  if (passRequest.scope) return new Set();
  const referrers = parent.hasReferrers && selected.referrers !== false;
  const digests = new Set(referrers || passRequest.full ? settled : []);
  for (const { digest, platform, index } of await leftOutOf(bus, repository, signal)) {
    if (!skippedByParent.has(digest) && isWanted(digest, platform, selected.platforms)) digests.add(index);
  }
  return digests;
}

function isWanted(digest: Digest, platform: string, platforms: readonly string[] | undefined): boolean {
  const [os = '', architecture = '', variant] = platform.split('/');
  const child = {
    mediaType: '',
    digest,
    size: 0,
    platform: { os, architecture, ...(variant && { variant }) },
  };
  return choose([child], platforms).wanted.length > 0;
}

/** Deletes parked changes that are obsolete. */
export async function unparkObsolete(
  context: PassContext,
  surveys: Survey[],
  covered: Repository[],
): Promise<void> {
  const { parking, unsentChanges, configuration } = context;
  const surveyed = new Map(surveys.map((survey) => [survey.repository, survey]));
  for (const [repository, parked] of parking.byRepository()) {
    const survey = surveyed.get(repository);
    // A repository that could not be compared in this pass retains its parked changes.
    if (!survey && covered.includes(repository)) continue;
    const wanted = new Set<string>();
    if (survey && configuration.mode === 'ReadWrite') {
      for (const { tag, action } of survey.actions) {
        if (action.kind === 'push' || action.kind === 'withdraw') wanted.add(tag);
      }
      for (const { digest } of unsentChanges.unsent(repository)) wanted.add(digest);
      for (const { digest } of unsentChanges.withdrawn(repository)) wanted.add(digest);
      for (const tag of survey.placeholders) wanted.add(tag);
    }
    for (const { reference } of parked) {
      if (!wanted.has(reference)) await parking.over({ repository, reference });
    }
  }
}
