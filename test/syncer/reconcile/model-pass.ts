import { putTag } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { loserTag } from '#proto/sync/conflict-tag.ts';
import { settleOutgoing } from '#proto/sync/outgoing.ts';
import { recordAgreement } from '../../../services/syncer/reconcile/agree.ts';
import { BehindBook } from '../../../services/syncer/reconcile/behind/behind-book.ts';
import type { PassContext } from '../../../services/syncer/reconcile/context/pass-context.ts';
import { placeholder } from '../../../services/syncer/reconcile/context/placeholder.ts';
import type { PassSends } from '../../../services/syncer/reconcile/context/sends.ts';
import type { TagAction } from '../../../services/syncer/reconcile/observe/plan-repository.ts';
import {
  type Selected,
  type Survey,
  surveyRepository,
} from '../../../services/syncer/reconcile/observe/survey.ts';
import {
  beginSends,
  dropIfDenied,
  type Move,
  recordSent,
} from '../../../services/syncer/reconcile/push/begin-sends.ts';
import type { Registry } from './model.ts';

export const REPOSITORY = 'app';

export type ModelLayer = {
  local: Registry;
  parent: Registry;
  mode: 'ReadWrite' | 'ReadOnly';
  conflict: 'parent-wins' | 'layer-wins';
};

/** A change fails on its own if what it expected no longer holds: the next pass decides again. */
const withoutFault = async (change: Promise<void>): Promise<void> =>
  change.catch((error) => {
    if (error?.name !== 'Fault') throw error;
  });

/**
 * A pass with the survey and the plan of the product. Its changes are carried out in the model, in the order of a real
 * pass. `interleave` runs between any two steps: others may act there, and the pass ends if it throws.
 */
export async function modelPass(
  layer: ModelLayer,
  interleave: () => Promise<void>,
  scope?: Set<Tag>,
): Promise<void> {
  const { local, parent, mode, conflict } = layer;
  using sends = local.sends.observe();
  const bus = local.bus(interleave);
  const pending = (digests: Set<Digest>) =>
    [...digests].map((digest, since) => ({ repository: REPOSITORY, digest, since }));
  const up = mode === 'ReadWrite';
  const [unsent, withdrawn] = [up ? pending(local.unsent) : [], up ? pending(local.withdrawn) : []];
  const sending = new Map(up ? local.sending : []);
  const unsentChanges = { unsent: () => unsent, withdrawn: () => withdrawn, sending: () => sending };
  const selected = { name: '*', referrers: true, priority: 0, conflict } as Selected;
  const parentReader = {
    tags: async () => {
      await interleave();
      return [...parent.tags.keys()];
    },
    resolve: async (_: string, tag: Tag) => {
      await interleave();
      return parent.tags.get(tag);
    },
    manifest: async (_: string, tag: Tag) => {
      await interleave();
      const digest = parent.tags.get(tag);
      if (digest === undefined) throw new Fault('manifest-unknown', tag);
      return { digest };
    },
  };
  const signal = new AbortController().signal;
  const surveyed = await surveyRepository(
    {
      ...{ bus, parent: parentReader, configuration: { mode }, unsentChanges, signal },
      leftOutByParent: new Map(),
      // A prefetched manifest would read beside the pass, which runs step by step here.
      prefetch: { tags: parentReader.tags, requestManifest() {} },
    } as unknown as PassContext,
    REPOSITORY,
    selected,
    scope,
  );
  const stats = { fail: () => ({ code: '', reason: '' }), dropped: 0 };
  const behind = new BehindBook([]);
  const configuration = { mode };
  const shared = { bus, behind, unsentChanges, configuration, sends, pass: '', stats, signal };
  await recordAgreement(shared as unknown as PassContext, surveyed);
  for (const action of surveyed.actions) {
    if (action.action.kind === 'take') await withoutFault(take(layer, sends, action, interleave));
  }
  if (!up) return;
  const send = async (digest: Digest) => {
    if (!local.manifests.has(digest)) return false;
    await interleave();
    if (!parent.manifests.has(digest)) parent.put(digest);
    return true;
  };
  for (const { digest } of unsent) {
    if (await send(digest)) await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
  }
  for (const action of surveyed.actions) {
    if (action.action.kind === 'push') await withoutFault(push(layer, sends, action, send, interleave));
    if (action.action.kind === 'withdraw')
      await withoutFault(withdraw(layer, sends, action, surveyed, interleave));
  }
  for (const tag of surveyed.placeholders) {
    await interleave();
    parent.remove(placeholder(REPOSITORY, tag).digest);
  }
  if (!surveyed.hasAllTags) return;
  for (const { digest } of withdrawn) {
    const isInUse = [...surveyed.parentTargets].some(
      ([tag, target]) =>
        target === digest &&
        !surveyed.actions.some((one) => one.tag === tag && one.action.kind === 'withdraw'),
    );
    await interleave();
    if (!isInUse && !local.manifests.has(digest)) parent.remove(digest);
    await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
  }
}

type Interleave = () => Promise<void>;

async function take(
  { local, parent, mode }: ModelLayer,
  sends: PassSends,
  { tag, views, known, action }: TagAction,
  interleave: Interleave,
) {
  const bus = local.bus(interleave);
  const digest = action.digest as Digest;
  await interleave();
  if (!local.manifests.has(digest)) {
    if (!parent.manifests.has(digest)) return;
    local.arrive(digest);
  }
  const conditions = {
    expect: views.layer ?? null,
    ...(mode === 'ReadWrite' && { known }),
    ...(action.loser && { loserTag: loserTag(tag, local.name, action.loser) }),
  };
  sends.mustHaveNoOther(REPOSITORY, tag);
  await bus.call(putTag, { repository: REPOSITORY, tag, digest, ...conditions, base: true });
}

async function push(
  layer: ModelLayer,
  sends: PassSends,
  { tag, views, known, action }: TagAction,
  send: (digest: Digest) => Promise<boolean>,
  interleave: Interleave,
) {
  const { local, parent } = layer;
  const bus = local.bus(interleave);
  const digest = action.digest as Digest;
  if (!(await send(digest))) return;
  const move = { tag, base: views.base ?? null, digest, known };
  await sending(layer, sends, move, interleave, async () => {
    if (action.loser) {
      await interleave();
      parent.tag(loserTag(tag, local.name, action.loser), action.loser);
    }
    await change(parent, tag, views.parent, interleave, () => parent.tag(tag, digest));
  });
  await bus.call(settleOutgoing, { repository: REPOSITORY, digests: [digest] });
}

async function withdraw(
  layer: ModelLayer,
  sends: PassSends,
  { tag, views, known }: TagAction,
  surveyed: Survey,
  interleave: Interleave,
) {
  const { local, parent } = layer;
  const digest = views.parent as Digest;
  const others = [...surveyed.parentTargets].some(([other, target]) => target === digest && other !== tag);
  const shared = !surveyed.hasAllTags || others || local.manifests.has(digest);
  const move = { tag, base: digest, digest: null, known };
  await sending(layer, sends, move, interleave, async () => {
    await change(parent, tag, digest, interleave, () => {
      if (parent.exact) return parent.untag(tag);
      if (!shared) return parent.remove(digest);
      const marker = placeholder(REPOSITORY, tag).digest;
      parent.put(marker);
      parent.tag(tag, marker);
    });
    if (parent.exact || !shared) return;
    await interleave();
    parent.remove(placeholder(REPOSITORY, tag).digest);
  });
}

/** Sends a change of a tag with the records of the product. */
async function sending(
  { local, parent }: ModelLayer,
  sends: PassSends,
  move: Move,
  interleave: Interleave,
  send: () => Promise<void>,
) {
  const resolve = async (_: string, tag: Tag) => {
    await interleave();
    return parent.tags.get(tag);
  };
  const { signal } = new AbortController();
  const context = {
    bus: local.bus(interleave),
    sends,
    parent: { resolve },
    signal,
  } as unknown as PassContext;
  using _ = await beginSends(context, REPOSITORY, { digests: [], move });
  await send().catch(async (error) => {
    const isSent = (current: Digest | undefined) =>
      move.digest === null ? current !== move.base : current === move.digest;
    await dropIfDenied(context, REPOSITORY, move, isSent, error);
    throw error;
  });
  await recordSent(context, REPOSITORY, move);
}

/** Applies a change if the tag is as expected: in one step, or after a read. */
async function change(
  parent: Registry,
  tag: Tag,
  expect: Digest | undefined,
  interleave: Interleave,
  apply: () => void,
) {
  parent.mustBe(tag, expect ?? null);
  if (!parent.exact) await interleave();
  apply();
}
