import { putTag, setBase } from '#proto/content/manifests.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { settleOutgoing } from '#proto/sync/outgoing.ts';
import { recordAgreement } from '../../../services/syncer/reconcile/agree.ts';
import type { PassContext } from '../../../services/syncer/reconcile/context/pass-context.ts';
import { placeholder } from '../../../services/syncer/reconcile/context/placeholder.ts';
import { loserTag } from '../../../services/syncer/reconcile/observe/plan.ts';
import type { TagAction } from '../../../services/syncer/reconcile/observe/plan-repository.ts';
import { type Selected, type Survey, survey } from '../../../services/syncer/reconcile/observe/survey.ts';
import type { Registry } from './model.ts';

export const REPOSITORY = 'app';

export type ModelLayer = {
  here: Registry;
  parent: Registry;
  mode: 'ReadWrite' | 'ReadOnly';
  conflict: 'parent-wins' | 'layer-wins';
};

/** One change of a pass failed, as it does when what it expected is no longer so: the next pass decides again. */
const alone = async (change: Promise<void>): Promise<void> =>
  change.catch((error) => {
    if (error?.name !== 'Fault') throw error;
  });

/**
 * A pass of the real survey and plan, whose changes are carried out in a model, in the order of the real ones.
 * `point` comes between any two steps: others may act there, or the pass may end by a throw.
 */
export async function modelPass(
  layer: ModelLayer,
  point: () => Promise<void>,
  scope?: Set<Tag>,
): Promise<void> {
  const { here, parent, mode, conflict } = layer;
  const bus = here.bus(point);
  const pending = (digests: Set<Digest>) =>
    [...digests].map((digest, since) => ({ repository: REPOSITORY, digest, since }));
  const up = mode === 'ReadWrite';
  const [unsent, withdrawn] = [up ? pending(here.unsent) : [], up ? pending(here.withdrawn) : []];
  const unsentChanges = { unsent: () => unsent, withdrawn: () => withdrawn };
  const selected = { name: '*', referrers: true, priority: 0, conflict } as Selected;
  const above = {
    tags: async () => {
      await point();
      return [...parent.tags.keys()];
    },
    resolve: async (_: string, tag: Tag) => {
      await point();
      return parent.tags.get(tag);
    },
  };
  const signal = new AbortController().signal;
  const found = await survey(
    { bus, parent: above, configuration: { mode }, unsentChanges, signal } as unknown as PassContext,
    REPOSITORY,
    selected,
    scope,
  );
  const stats = { fail: () => ({ code: '', reason: '' }), dropped: 0 };
  await recordAgreement({ bus, unsentChanges, pass: '', stats, signal } as unknown as PassContext, found);
  for (const action of found.actions) {
    if (action.action.kind === 'take') await alone(take(layer, action, point));
  }
  if (!up) return;
  const send = async (digest: Digest) => {
    if (!here.manifests.has(digest)) return false;
    await point();
    if (!parent.manifests.has(digest)) parent.put(digest);
    return true;
  };
  for (const { digest } of unsent) {
    if (await send(digest)) await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
  }
  for (const action of found.actions) {
    if (action.action.kind === 'push') await alone(push(layer, action, send, point));
    if (action.action.kind === 'withdraw') await alone(withdraw(layer, action, found, point));
  }
  for (const tag of found.placeholders) {
    await point();
    parent.remove(placeholder(REPOSITORY, tag).digest);
  }
  if (!found.complete) return;
  for (const { digest } of withdrawn) {
    const stays = [...found.parentTargets].some(
      ([tag, target]) =>
        target === digest && !found.actions.some((one) => one.tag === tag && one.action.kind === 'withdraw'),
    );
    await point();
    if (!stays && !here.manifests.has(digest)) parent.remove(digest);
    await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
  }
}

type Point = () => Promise<void>;

async function take({ here, parent }: ModelLayer, { tag, views, action }: TagAction, point: Point) {
  const bus = here.bus(point);
  const digest = action.digest as Digest;
  if (action.loser) {
    const kept = loserTag(tag, here.name, action.loser);
    await bus.call(putTag, { repository: REPOSITORY, tag: kept, digest: action.loser });
  }
  await point();
  if (!here.manifests.has(digest)) {
    if (!parent.manifests.has(digest)) return;
    here.arrive(digest);
  }
  const expect = views.layer ?? null;
  await bus.call(putTag, { repository: REPOSITORY, tag, digest, expect, base: true });
}

async function push(
  { here, parent }: ModelLayer,
  { tag, views, action }: TagAction,
  send: (digest: Digest) => Promise<boolean>,
  point: Point,
) {
  const bus = here.bus(point);
  const digest = action.digest as Digest;
  if (action.loser) {
    await point();
    parent.tag(loserTag(tag, here.name, action.loser), action.loser);
  }
  if (!(await send(digest))) return;
  await change(parent, tag, views.parent, point, () => parent.tag(tag, digest));
  await bus.call(setBase, { repository: REPOSITORY, tag, digest });
  await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
}

async function withdraw(
  { here, parent }: ModelLayer,
  { tag, views }: TagAction,
  found: Survey,
  point: Point,
) {
  const digest = views.parent as Digest;
  const others = [...found.parentTargets].some(([other, target]) => target === digest && other !== tag);
  const shared = !found.complete || others || here.manifests.has(digest);
  await change(parent, tag, digest, point, () => {
    if (parent.exact) return parent.untag(tag);
    if (!shared) return parent.remove(digest);
    const place = placeholder(REPOSITORY, tag).digest;
    parent.put(place);
    parent.tag(tag, place);
  });
  if (!parent.exact && shared) {
    await point();
    parent.remove(placeholder(REPOSITORY, tag).digest);
  }
  await here.bus(point).call(setBase, { repository: REPOSITORY, tag, digest: null });
}

/** On the condition that the tag is as expected: in one step, or looked at before. */
async function change(
  parent: Registry,
  tag: Tag,
  expect: Digest | undefined,
  point: Point,
  apply: () => void,
) {
  parent.mustBe(tag, expect ?? null);
  if (!parent.exact) await point();
  apply();
}
