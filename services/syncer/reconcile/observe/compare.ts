import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isTag, type Repository } from '#proto/oci/names.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import { passPlanned } from '#proto/sync/passes.ts';
import type { RepositoryChanges } from '../context/parent-changes.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { PassRequest } from '../context/pass-request.ts';
import { isRefusedByParent } from '../context/refused-repositories.ts';
import { type Survey, surveyRepository } from './survey.ts';

/** Max tags that a pass compares, over all repositories: their actions are held in memory until it ends. */
const MAX_TAGS = 1_000_000;
/** Max repositories compared in parallel. */
const MAX_PARALLEL = 4;

/** For a repository with local changes only. */
const NO_CHANGES: RepositoryChanges = { tags: new Map(), around: new Set() };

/**
 * Surveys each repository. One that can't be compared, or exceeds the limit of the pass, is recorded as a failure and
 * does not block the others.
 */
export async function compare(
  context: PassContext,
  repositories: readonly Repository[],
  maxTags = MAX_TAGS,
): Promise<Survey[]> {
  const { bus, announcement, pass, configuration, passRequest, parentChanges, signal } = context;
  const { behind, refused, stats } = context;
  const surveys: Survey[] = [];
  let tags = 0;
  await each(repositories, MAX_PARALLEL, async (repository) => {
    const selected = selectionOf(configuration.repositories, repository);
    if (!selected) return;
    try {
      const changes = parentChanges?.has(repository) === false ? NO_CHANGES : parentChanges?.get(repository);
      const retried = retriedIn(passRequest, repository);
      const candidates = retried ? undefined : (passRequest.scope?.get(repository) ?? changes);
      const all = await surveyRepository(context, repository, selected, candidates);
      const result = retried && retried !== 'all' ? onlyOf(all, retried) : all;
      // Only compared tags count, so that smaller repositories still fit in after a large one.
      if (tags + result.tags > maxTags) {
        throw new Fault('too-large', `a pass compares ${maxTags} tags at most: select fewer repositories`);
      }
      tags += result.tags;
      surveys.push(result);
      if (!passRequest.scope || retried) behind.compared(result);
    } catch (error) {
      signal.throwIfAborted();
      // Another failure says nothing about the right.
      if (isRefusedByParent(error) || refused.isRefused(repository)) refused.add(repository);
      const failure = stats.fail({ repository }, error);
      if (failure && (!passRequest.scope || retriedIn(passRequest, repository)))
        behind.notCompared(repository, failure);
    }
  });
  if (parentChanges && !passRequest.scope) behind.followed(new Set(parentChanges.keys()));
  surveys.sort((a, b) => (a.repository < b.repository ? -1 : 1));
  const actions = surveys.reduce((sum, survey) => sum + survey.actions.length, 0);
  if (actions > 0 || announcement.announced) {
    bus.publish(passPlanned, { pass, repositories: surveys.length, tags, actions });
  }
  return surveys;
}

/** In a pass with a scope: what of the repository is tried again, with what the scope has of it. */
function retriedIn(
  { scope, retries }: PassRequest,
  repository: Repository,
): 'all' | ReadonlySet<string> | undefined {
  if (!scope || !retries || retries === 'all') return undefined;
  const retried = retries.get(repository);
  if (!retried || retried === 'all') return retried;
  return new Set([...retried, ...(scope.get(repository) ?? [])]);
}

/** The survey of a complete repository as one of these tags and digests alone. */
function onlyOf(survey: Survey, references: ReadonlySet<string>): Survey {
  const isNamed = ({ tag, views }: Survey['actions'][number]) =>
    [tag, views.layer, views.parent].some((name) => name !== undefined && references.has(name));
  const actions = survey.actions.filter(isNamed);
  return {
    ...survey,
    actions,
    isAllCompared: false,
    comparedTags: [...references].filter(isTag),
    settled: survey.settled.filter((digest) => references.has(digest)),
  };
}
