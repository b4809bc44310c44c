import { deleteTag, setBase } from '#proto/content/manifests.ts';
import { imageFailed } from '#proto/sync/passes.ts';
import type { PassContext } from './context/pass-context.ts';
import { settleSent } from './context/unsent-changes.ts';
import type { Survey } from './observe/survey.ts';

/** Carries out the actions that need no transfer: records agreement, and drops tags that the parent deleted. */
export async function recordAgreement(context: PassContext, survey: Survey): Promise<void> {
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
