import { batches } from '#proto/async/batches.ts';
import { deleteTag, MAX_BASES, setBases } from '#proto/content/manifests.ts';
import { dropSending } from '#proto/sync/outgoing.ts';
import { imageFailed } from '#proto/sync/passes.ts';
import type { PassContext } from './context/pass-context.ts';
import { settleSent } from './context/unsent-changes.ts';
import { knownIn } from './observe/plan-repository.ts';
import type { Survey } from './observe/survey.ts';

/** Max records of what was being sent per request. */
const MAX_OBSOLETE = 1_000;

/** Carries out the actions that need no transfer: records agreement, and drops tags that the parent deleted. */
export async function recordAgreement(context: PassContext, survey: Survey): Promise<void> {
  const { bus, behind, configuration, unsentChanges, stats } = context;
  const { repository, actions } = survey;
  // What another pass has sent since is newer than what this one has read.
  const obsolete = survey.obsolete.filter(({ tag }) => !context.sends.hasOther(repository, tag));
  for (const tags of batches(obsolete, MAX_OBSOLETE)) {
    const names = tags.map(({ tag }) => tag);
    await reported(context, repository, names, () => bus.call(dropSending, { tags }));
  }
  const agreed = actions.flatMap((one) =>
    one.action.kind === 'agree'
      ? [{ tag: one.tag, digest: one.action.digest ?? null, ...knownIn(configuration.mode, one) }]
      : [],
  );
  const unsent = new Set(unsentChanges.unsent(repository).map(({ digest }) => digest));
  for (const bases of batches(agreed, MAX_BASES)) {
    const tags = bases.map(({ tag }) => tag);
    await reported(context, repository, tags, async () => {
      await bus.call(setBases, { repository, bases });
      const sent = bases.flatMap(({ digest }) => (digest && unsent.has(digest) ? [digest] : []));
      await settleSent(bus, repository, [...new Set(sent)]);
    });
  }
  for (const one of actions) {
    const { tag, views, action } = one;
    if (action.kind !== 'drop') continue;
    await reported(context, repository, [tag], async () => {
      context.sends.mustHaveNoOther(repository, tag);
      const conditions = { expect: views.layer ?? null, ...knownIn(configuration.mode, one) };
      await bus.call(deleteTag, { repository, tag, ...conditions, base: true });
      stats.dropped += 1;
      behind.settled(repository, tag);
    });
  }
}

/** If the work fails, each of the tags has failed. */
async function reported(
  { bus, behind, pass, stats, signal }: PassContext,
  repository: string,
  tags: string[],
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    for (const tag of tags) {
      const failure = stats.fail({ repository, tag }, error);
      if (!failure) continue;
      const { code, reason } = failure;
      behind.failed(repository, tag, code, reason);
      bus.publish(imageFailed, { pass, repository, tag, code, reason });
    }
  }
}
