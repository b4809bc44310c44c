import { batches } from '#proto/async/batches.ts';
import { deleteTag, MAX_BASES, setBases } from '#proto/content/manifests.ts';
import { imageFailed } from '#proto/sync/passes.ts';
import type { PassContext } from './context/pass-context.ts';
import { settleSent } from './context/unsent-changes.ts';
import type { Survey } from './observe/survey.ts';

/** Carries out the actions that need no transfer: records agreement, and drops tags that the parent deleted. */
export async function recordAgreement(context: PassContext, survey: Survey): Promise<void> {
  const { bus, behind, unsentChanges, stats } = context;
  const { repository, actions } = survey;
  const agreed = actions.flatMap(({ tag, action }) =>
    action.kind === 'agree' ? [{ tag, digest: action.digest ?? null }] : [],
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
  for (const { tag, views, action } of actions) {
    if (action.kind !== 'drop') continue;
    await reported(context, repository, [tag], async () => {
      await bus.call(deleteTag, { repository, tag, expect: views.layer ?? null, base: true });
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
  work: () => Promise<void>,
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
