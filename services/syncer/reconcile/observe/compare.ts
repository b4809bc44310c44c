import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { passPlanned } from '#proto/sync/passes.ts';
import type { Told } from '../context/parent-changes.ts';
import type { PassContext } from '../context/pass-context.ts';
import { selectionOf } from '../select/patterns.ts';
import { type Survey, survey } from './survey.ts';

/** Tags of all repositories that a pass compares: what they are to become is held until it has ended. */
const MAX_TAGS = 1_000_000;
/** Repositories compared at a time. */
const REPOSITORIES_AT_ONCE = 4;

/** The parent told nothing of a repository in which something changed here. */
const NOTHING: Told = { tags: new Map(), around: new Set() };

/** What is to be done in each repository. One that can't be compared, or has no room in the pass, fails by its name. */
export async function compare(
  context: PassContext,
  covered: readonly Repository[],
  maxTags = MAX_TAGS,
): Promise<Survey[]> {
  const { bus, announcement, pass, configuration, passRequest, parentChanges, stats, signal } = context;
  const { repositories } = configuration;
  const surveys: Survey[] = [];
  let tags = 0;
  await each(covered, REPOSITORIES_AT_ONCE, async (repository) => {
    const selected = selectionOf(repositories, repository);
    if (!selected) return;
    try {
      const part =
        passRequest.scope?.get(repository) ?? (parentChanges && (parentChanges.get(repository) ?? NOTHING));
      const found = await survey(context, repository, selected, part);
      // Only what is compared counts, so that smaller repositories still find room behind a large one.
      if (tags + found.tags > maxTags) {
        throw new Fault('too-large', `a pass compares ${maxTags} tags at most: select fewer repositories`);
      }
      tags += found.tags;
      surveys.push(found);
    } catch (error) {
      signal.throwIfAborted();
      stats.fail({ repository }, error);
    }
  });
  surveys.sort((a, b) => (a.repository < b.repository ? -1 : 1));
  const actions = surveys.reduce((sum, survey) => sum + survey.actions.length, 0);
  if (actions > 0 || announcement.announced) {
    bus.publish(passPlanned, { pass, repositories: surveys.length, tags, actions });
  }
  return surveys;
}
