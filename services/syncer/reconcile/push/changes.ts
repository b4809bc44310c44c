import { each } from '#proto/async/each.ts';
import { deleteTag, missingManifests, setBase } from '#proto/content/manifests.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { imageConflict, imageFailed, imageParked } from '#proto/sync/passes.ts';
import { settleSent, settleWithdrawn } from '../context/outgoing.ts';
import { isRefusal, type Outbound } from '../context/parking.ts';
import type { PassContext } from '../context/pass-context.ts';
import { placeholder } from '../context/placeholder.ts';
import { loserTag } from '../context/plan.ts';
import type { Survey, TagAction } from '../observe/survey.ts';
import { ParentUsage } from './parent-usage.ts';
import { send } from './send.ts';
import { withdrawManifest, withdrawTag } from './withdraw.ts';

/** A change that goes up: manifests, then tags, then deletions; within a repository, each stage when the one before has ended. */
type Change = Outbound & {
  priority: number;
  stage: 0 | 1 | 2 | 3;
  run: () => Promise<'sent' | 'withdrawn' | undefined>;
};

const CHANGES_AT_ONCE = 8;

/** Tells the parent what changed here, each change by itself, so that one that fails keeps no other back. */
export async function tellParent(context: PassContext, surveys: Survey[]): Promise<void> {
  const { parking, stats, signal } = context;
  const changes: Change[] = [];
  for (const survey of surveys) {
    const all = changesOf(context, survey);
    for (const change of all) {
      const parked = parking.waiting(change);
      if (parked) stats.wait(parked);
      else changes.push(change);
    }
  }
  const repositories = new Map(surveys.map(({ repository }, at) => [repository, at]));
  const place = (change: Change) => repositories.get(change.repository) as number;
  // The sort keeps what is equal in order: manifests stay as clients put them.
  changes.sort((a, b) => b.priority - a.priority || place(a) - place(b) || a.stage - b.stage);
  const stages = new Stages(changes);
  await each(changes, CHANGES_AT_ONCE, async (change) => {
    await stages.before(change);
    await carryOut(context, change).finally(() => stages.ended(change));
    signal.throwIfAborted();
  });
}

/** Each stage of a repository begins when those before it have ended; changes must be begun in order of stage. */
class Stages {
  readonly #left = new Map<string, { count: number; end: PromiseWithResolvers<void> }>();

  constructor(changes: Change[]) {
    for (const change of changes) {
      const known = this.#left.get(key(change, change.stage));
      if (known) known.count += 1;
      else this.#left.set(key(change, change.stage), { count: 1, end: Promise.withResolvers<void>() });
    }
  }

  async before(change: Change): Promise<void> {
    for (let stage = 0; stage < change.stage; stage += 1) {
      await this.#left.get(key(change, stage))?.end.promise;
    }
  }

  ended(change: Change): void {
    const own = this.#left.get(key(change, change.stage));
    if (!own) return;
    own.count -= 1;
    if (own.count === 0) own.end.resolve();
  }
}

const key = ({ repository }: Change, stage: number): string => `${repository} ${stage}`;

async function carryOut(context: PassContext, change: Change): Promise<void> {
  const { bus, pass, parking, stats, signal } = context;
  const { repository, reference, digest } = change;
  const about = {
    pass,
    repository,
    tag: reference.includes(':') ? null : reference,
    ...(digest && { digest }),
  };
  try {
    signal.throwIfAborted();
    const did = await change.run();
    if (did) stats[did] += 1;
    await parking.over(change);
  } catch (error) {
    signal.throwIfAborted();
    if (isRefusal(error)) {
      const parked = await parking.refused(change, error);
      stats.wait(parked);
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
  // What a tag carries goes with it, unless the tag waits.
  const carried = new Set(
    tags.flatMap((change) => (change.digest && !parking.waiting(change) ? [change.digest] : [])),
  );
  const there = new Set(survey.above.values());
  const manifests: Change[] = unsentChanges
    .unsent(repository)
    .filter(({ digest }) => !carried.has(digest))
    .map(({ digest }) => ({
      ...placeOf(survey),
      reference: digest,
      digest,
      stage: 0,
      run: async () => {
        if (!there.has(digest)) return (await send(context, repository, digest)) ? 'sent' : undefined;
        await settleSent(context.bus, repository, [digest]);
        return undefined;
      },
    }));
  return [...manifests, ...tags, ...places(context, survey), ...withdrawals(context, survey, usage)];
}

function tagChange(
  context: PassContext,
  survey: Survey,
  usage: ParentUsage,
  { tag, views, action }: TagAction,
): Change[] {
  const { repository } = survey;
  const { kind, digest } = action;
  const change = { ...placeOf(survey), reference: tag, digest };
  if (kind === 'push' && digest) {
    const run = async () => {
      await push(context, survey, { tag, views, action }, digest);
      return 'sent' as const;
    };
    return [{ ...change, stage: 1, run }];
  }
  const { parent } = views;
  if (kind !== 'withdraw' || !parent) return [];
  const run = async () => {
    const shared = () => staysThere(context, survey, usage, tag, parent);
    await withdrawTag(context, repository, tag, { expect: parent, shared });
    return 'withdrawn' as const;
  };
  return [{ ...change, stage: 2, run }];
}

async function push(
  context: PassContext,
  { repository }: Survey,
  { tag, views, action }: TagAction,
  digest: Digest,
): Promise<void> {
  const { bus, parent, upward, pass, layer, signal } = context;
  const { loser } = action;
  const kept = loser && loserTag(tag, layer, loser);
  if (kept) {
    const manifest = await parent.manifest(repository, loser, signal);
    await upward.putManifest(repository, kept, manifest, signal);
  }
  await send(context, repository, digest, { tag, expect: views.parent });
  if (kept) bus.publish(imageConflict, { pass, repository, tag, winner: digest, loser, loserTag: kept });
}

/** Whether the manifest is to outlive this tag at the parent. */
async function staysThere(
  { bus }: PassContext,
  { repository, whole }: Survey,
  usage: ParentUsage,
  tag: Tag,
  digest: Digest,
): Promise<boolean> {
  if (!whole) return true;
  // A client took away the tag, not what it pointed to.
  const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
  return digests.length === 0 || usage.needs(digest, tag);
}

function places(context: PassContext, survey: Survey): Change[] {
  const { repository } = survey;
  return survey.places.map((tag) => ({
    ...placeOf(survey),
    reference: tag,
    digest: undefined,
    stage: 2,
    run: async () => {
      await withdrawManifest(context, repository, placeholder(repository, tag).digest);
      return undefined;
    },
  }));
}

/** Only where all tags of the parent are known: content that one of them needs is not taken from it. */
function withdrawals(context: PassContext, survey: Survey, usage: ParentUsage): Change[] {
  const { bus, unsentChanges } = context;
  const { repository } = survey;
  if (!survey.whole) return [];
  return unsentChanges.withdrawn(repository).map((pending) => ({
    ...placeOf(survey),
    reference: pending.digest,
    digest: undefined,
    stage: 3,
    run: async () => {
      const { digest } = pending;
      const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
      const goes = digests.length > 0 && !(await usage.needs(digest));
      if (goes) await withdrawManifest(context, repository, digest);
      else unsentChanges.stays(repository, digest);
      await settleWithdrawn(bus, pending);
      return goes ? 'withdrawn' : undefined;
    },
  }));
}

const placeOf = ({ repository, selected }: Survey) => ({ repository, priority: selected.priority });

/** What only the layer has to note: that both agree, and tags that went at the parent. */
export async function note(context: PassContext, survey: Survey): Promise<void> {
  const { bus, unsentChanges, pass, stats, signal } = context;
  const { repository, actions } = survey;
  const unsent = new Set(unsentChanges.unsent(repository).map(({ digest }) => digest));
  for (const { tag, views, action } of actions) {
    try {
      if (action.kind === 'agree') {
        await bus.call(setBase, { repository, tag, digest: action.digest ?? null });
        if (action.digest && unsent.has(action.digest)) await settleSent(bus, repository, [action.digest]);
      } else if (action.kind === 'drop') {
        await bus.call(deleteTag, { repository, tag, expect: views.layer ?? null, base: true });
        stats.dropped += 1;
      }
    } catch (error) {
      signal.throwIfAborted();
      const failure = stats.fail({ repository, tag }, error);
      if (!failure) continue;
      const { code, reason } = failure;
      bus.publish(imageFailed, { pass, repository, tag, code, reason });
    }
  }
}
