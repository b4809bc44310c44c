import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { loserTag } from '#proto/sync/conflict-tag.ts';
import { imageConflict, imageFailed, imageParked } from '#proto/sync/passes.ts';
import { isRefusal, type Outbound } from '../context/parking.ts';
import type { PassContext } from '../context/pass-context.ts';
import { placeholder } from '../context/placeholder.ts';
import { settleSent, settleWithdrawn } from '../context/unsent-changes.ts';
import type { TagAction } from '../observe/plan-repository.ts';
import type { Survey } from '../observe/survey.ts';
import { ParentUsage } from './parent-usage.ts';
import { PushDenied, PushRights } from './push-rights.ts';
import { pushTree } from './push-tree.ts';
import { tracedChange } from './traced-change.ts';
import { withdrawManifest, withdrawTag } from './withdraw.ts';

/**
 * Push: carries changes of a ReadWrite layer up to its parent.
 *
 * The surveys and the unsent changes become a list of changes per repository, in stages: manifests (0), moves of tags
 * (1), deletions of tags and leftover placeholders (2), deletions of manifests (3). `push-tree.ts` pushes a manifest
 * with all that it refers to and moves its tag last; `referrers-tag.ts` maintains the list of referrers at a parent
 * without the referrers API. `withdraw.ts` deletes tags and manifests at the parent; `parent-usage.ts` determines which
 * content is still in use there. A change that the parent refuses is parked; `unpark-obsolete.ts` deletes the records
 * of those that are obsolete.
 */

/** A change to push. In a repository, a stage begins when all earlier ones have ended. */
type Change = Outbound & {
  priority: number;
  stage: 0 | 1 | 2 | 3;
  run: () => Promise<'sent' | 'withdrawn' | undefined>;
};

/** Max changes carried out in parallel. */
const MAX_PARALLEL = 8;
/** Max tags, and manifests, that a manifest without a tag is compared with. */
const MAX_SIMILAR = 8;

/** Pushes the changes of this layer, each separately, so that a failure does not block the others. */
export async function pushChanges(context: PassContext, surveys: Survey[]): Promise<void> {
  const { parking, stats, signal } = context;
  const changes: Change[] = [];
  for (const survey of surveys) {
    const planned = changesOf(context, survey);
    for (const change of planned) {
      const parked = parking.waiting(change);
      if (parked) stats.wait(parked);
      else changes.push(change);
    }
  }
  const repositories = new Map(surveys.map(({ repository }, at) => [repository, at]));
  const positionOf = (change: Change) => repositories.get(change.repository) as number;
  // The sort is stable: manifests remain in the order in which clients put them.
  changes.sort((a, b) => b.priority - a.priority || positionOf(a) - positionOf(b) || a.stage - b.stage);
  const stages = new Stages(changes);
  const rights = new PushRights(context);
  await each(changes, MAX_PARALLEL, async (change) => {
    await stages.before(change);
    await carryOut(context, change, rights).finally(() => stages.ended(change));
    signal.throwIfAborted();
  });
}

/** Starts each stage of a repository when all earlier ones have ended. Changes have to be started in order of stage. */
class Stages {
  readonly #pending = new Map<string, { count: number; end: PromiseWithResolvers<void> }>();

  constructor(changes: Change[]) {
    for (const change of changes) {
      const known = this.#pending.get(key(change, change.stage));
      if (known) known.count += 1;
      else this.#pending.set(key(change, change.stage), { count: 1, end: Promise.withResolvers<void>() });
    }
  }

  async before(change: Change): Promise<void> {
    for (let stage = 0; stage < change.stage; stage += 1) {
      await this.#pending.get(key(change, stage))?.end.promise;
    }
  }

  ended(change: Change): void {
    const pending = this.#pending.get(key(change, change.stage));
    if (!pending) return;
    pending.count -= 1;
    if (pending.count === 0) pending.end.resolve();
  }
}

const key = ({ repository }: Change, stage: number): string => `${repository} ${stage}`;

async function carryOut(context: PassContext, change: Change, rights: PushRights): Promise<void> {
  const { bus, pass, parking, stats, signal } = context;
  const { repository, reference, digest } = change;
  const about = {
    pass,
    repository,
    tag: reference.includes(':') ? null : reference,
    ...(digest && { digest }),
  };
  const denial = await rights.denial(repository);
  if (denial) return stats.wait(await parking.refused(change, denial));
  try {
    signal.throwIfAborted();
    const outcome = await tracedChange(context, change, change.run);
    if (outcome) stats[outcome] += 1;
    await parking.unpark(change);
  } catch (cause) {
    signal.throwIfAborted();
    // Another pass sends the tag, or has sent it: nothing of this change is missing.
    if (Fault.is(cause, 'conflict') && cause.detail?.overtaken === true) return;
    const error = await rights.explained(repository, cause);
    if (isRefusal(error) || error instanceof PushDenied) {
      const parked = await parking.refused(change, error);
      stats.wait(parked);
      if (error instanceof PushDenied && !rights.isFirstDenial(repository)) return;
      const { code, reason, retry } = parked;
      bus.publish(imageParked, { ...about, code, reason, retry });
      return;
    }
    const failure = stats.fail({ repository, tag: reference }, error);
    if (failure) bus.publish(imageFailed, { ...about, code: failure.code, reason: failure.reason });
  }
}

function changesOf(context: PassContext, survey: Survey): Change[] {
  const { unsentChanges, parking } = context;
  const { repository, actions } = survey;
  const usage = new ParentUsage(context, survey);
  const tags = actions.flatMap((action) => tagChange(context, survey, usage, action));
  // The target of a tag is pushed with the tag, unless the tag is parked. If nothing may be pushed, it waits with it.
  const isCarried = (change: Change) => {
    const parked = parking.waiting(change);
    return !parked || parked.code === 'denied';
  };
  const carried = new Set(
    tags.flatMap((change) => (change.digest && isCarried(change) ? [change.digest] : [])),
  );
  const targets = new Set(survey.parentTargets.values());
  const similar = () => similarToAny(survey);
  const manifests: Change[] = unsentChanges
    .unsent(repository)
    .filter(({ digest }) => !carried.has(digest))
    .map(({ digest }) => ({
      ...commonOf(survey),
      reference: digest,
      digest,
      stage: 0,
      run: async () => {
        if (!targets.has(digest)) {
          const isSent = await pushTree(context, repository, digest, undefined, { similar });
          return isSent ? 'sent' : undefined;
        }
        await settleSent(context.bus, repository, [digest]);
        return undefined;
      },
    }));
  return [
    ...manifests,
    ...tags,
    ...placeholderRemovals(context, survey),
    ...withdrawals(context, survey, usage),
  ];
}

function tagChange(context: PassContext, survey: Survey, usage: ParentUsage, one: TagAction): Change[] {
  const { tag, views, known, action } = one;
  const { repository } = survey;
  const { kind, digest } = action;
  const change = { ...commonOf(survey), reference: tag, digest };
  if (kind === 'push' && digest) {
    const run = async () => {
      await push(context, survey, one, digest);
      return 'sent' as const;
    };
    return [{ ...change, stage: 1, run }];
  }
  const { parent } = views;
  if (kind !== 'withdraw' || !parent) return [];
  const run = async () => {
    const isShared = () => isStillNeeded(context, survey, usage, tag, parent);
    await withdrawTag(context, repository, tag, { expect: parent, shared: isShared, known });
    return 'withdrawn' as const;
  };
  return [{ ...change, stage: 2, run }];
}

async function push(context: PassContext, survey: Survey, one: TagAction, digest: Digest): Promise<void> {
  const { repository } = survey;
  const { tag, views, known, action } = one;
  const { bus, parent, pushClient, pass, layer, signal } = context;
  const { loser } = action;
  const conflictTag = loser && loserTag(tag, layer, loser);
  const prepare = async () => {
    if (!conflictTag) return;
    const manifest = await parent.manifest(repository, loser, signal);
    await pushClient.putManifest(repository, conflictTag, manifest, signal);
  };
  const move = { tag, known, prepare, expect: views.parent, base: views.base };
  await pushTree(context, repository, digest, move, { similar: () => similarTo(survey, one) });
  if (conflictTag)
    bus.publish(imageConflict, { pass, repository, tag, winner: digest, loser, loserTag: conflictTag });
}

/** Manifests here that the new target of a tag may resemble, and that the parent may have. */
function similarTo({ similarTo }: Survey, { tag, views, action }: TagAction): Digest[] {
  const known = [views.parent, views.base, ...similarTo(tag)];
  return [...new Set(known)].filter((one) => one !== undefined && one !== action.digest) as Digest[];
}

/** The same for a manifest without a tag, such as that of an index: it is pushed with the tags that move. */
function similarToAny(survey: Survey): Digest[] {
  const moves = survey.actions.filter(({ action }) => action.kind === 'push').slice(0, MAX_SIMILAR);
  return [...new Set([...moves.flatMap((move) => similarTo(survey, move)), ...survey.here])].slice(
    0,
    MAX_SIMILAR,
  );
}

/** Whether the manifest has to remain at the parent when this tag is deleted. */
async function isStillNeeded(
  { bus }: PassContext,
  { repository, hasAllTags }: Survey,
  usage: ParentUsage,
  tag: Tag,
  digest: Digest,
): Promise<boolean> {
  if (!hasAllTags) return true;
  // If the layer still has the manifest, the client deleted only the tag.
  const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
  return digests.length === 0 || usage.needs(digest, tag);
}

function placeholderRemovals(context: PassContext, survey: Survey): Change[] {
  const { repository } = survey;
  return survey.placeholders.map((tag) => ({
    ...commonOf(survey),
    reference: tag,
    digest: undefined,
    stage: 2,
    run: async () => {
      await withdrawManifest(context, repository, placeholder(repository, tag).digest);
      return undefined;
    },
  }));
}

/** Deletions of manifests. Only if all tags of the parent are known, so that content in use there is not deleted. */
function withdrawals(context: PassContext, survey: Survey, usage: ParentUsage): Change[] {
  const { bus, unsentChanges } = context;
  const { repository } = survey;
  if (!survey.hasAllTags) return [];
  return unsentChanges.withdrawn(repository).map((pending) => ({
    ...commonOf(survey),
    reference: pending.digest,
    digest: undefined,
    stage: 3,
    run: async () => {
      const { digest } = pending;
      const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
      const isUnused = digests.length > 0 && !(await usage.needs(digest));
      if (isUnused) await withdrawManifest(context, repository, digest);
      else unsentChanges.stays(repository, digest);
      await settleWithdrawn(bus, pending);
      return isUnused ? 'withdrawn' : undefined;
    },
  }));
}

const commonOf = ({ repository, selected }: Survey) => ({ repository, priority: selected.priority });
