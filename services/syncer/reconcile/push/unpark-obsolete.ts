import type { Repository } from '#proto/oci/names.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

/** Deletes parked changes that are obsolete. */
export async function unparkObsolete(
  context: PassContext,
  surveys: Survey[],
  selected: Repository[],
): Promise<void> {
  const { parking, unsentChanges, configuration } = context;
  const surveyed = new Map(surveys.map((survey) => [survey.repository, survey]));
  for (const [repository, parked] of parking.byRepository()) {
    const survey = surveyed.get(repository);
    // A repository that could not be compared in this pass retains its parked changes.
    if (!survey && selected.includes(repository)) continue;
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
      if (!wanted.has(reference)) await parking.unpark({ repository, reference });
    }
  }
}
