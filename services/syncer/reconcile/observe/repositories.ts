import { listRepositories } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isRepository, type Repository } from '#proto/oci/names.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { MAX_LISTED_REPOSITORIES } from '#proto/sync/left-out.ts';
import { isTransient } from '../../link/answers/answers.ts';
import { listEntries, readDiffering } from '../context/lists.ts';
import type { ParentChanges } from '../context/parent-changes.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { PassRequest } from '../context/pass-request.ts';
import { exactNames, needsCatalog } from '../select/patterns.ts';
import { shown } from './lost-tag.ts';
import { projectNames } from './project-names.ts';

/**
 * Repositories that the selections cover, at the parent or here, and local ones that no selection covers. If the
 * catalog is unavailable, only repositories that nothing else names are missed.
 */
export async function findRepositories({
  bus,
  parent,
  configuration,
  unsentChanges,
  stats,
  signal,
  leftOut,
  behind,
  passRequest: { scope },
  parentChanges,
}: PassContext & { passRequest: PassRequest; parentChanges: ParentChanges | undefined }): Promise<{
  selected: Repository[];
  unselected: Repository[];
}> {
  const patterns = configuration.repositories.map(({ name }) => name);
  if (scope) {
    return {
      selected: [...scope.keys()].filter((name) => matchesPattern(patterns, name)).sort(),
      unselected: [],
    };
  }
  if (parentChanges) {
    const changed = configuration.mode === 'ReadWrite' ? await readDiffering(bus, signal) : [];
    const all = new Set([...parentChanges.keys(), ...changed, ...unsentChanges.repositories]);
    const selected = [...all].filter((name) => matchesPattern(patterns, name)).sort();
    return { selected, unselected: [] };
  }
  const invalid = new InvalidNames();
  const names = new Set<Repository>(exactNames(patterns).filter(isRepository));
  try {
    if (needsCatalog(patterns)) {
      const onInvalid = (name: string, here: string) => {
        if (matchesPattern(patterns, here)) invalid.add(name);
      };
      for await (const name of parent.repositories(signal, onInvalid))
        if (matchesPattern(patterns, name)) names.add(name);
      leftOut.noteRepositories(invalid.names, invalid.count);
    }
  } catch (error) {
    // A parent without a catalog, or one that fails to produce it now, may still have repositories.
    const answered = error instanceof Fault && error.detail?.status !== undefined;
    if (!answered && !Fault.is(error, 'parent-refused', 'parent-invalid')) throw error;
    const listed = await projectNames(parent, configuration.repositories, error, signal);
    // Those of which something is known to be missing may not be here yet.
    for (const name of [...listed.names, ...behind.recorded])
      if (matchesPattern(patterns, name)) names.add(name);
    for (const failure of listed.failures)
      stats.fail({}, failure === error ? withoutCatalog(error, patterns) : failure);
  }
  const unselected: Repository[] = [];
  const local = listEntries(
    (page) => bus.call(listRepositories, page, { signal }),
    (page) => page.repositories,
    (name) => name,
  );
  for await (const name of local) {
    if (matchesPattern(patterns, name)) names.add(name);
    else unselected.push(name);
  }
  // Those of which nothing is here any more.
  for (const name of unsentChanges.repositories) if (matchesPattern(patterns, name)) names.add(name);
  return { selected: [...names].sort(), unselected };
}

/** Names in the catalog that no repository here can have. */
class InvalidNames {
  /** The first ones, as they can be shown. */
  readonly names: string[] = [];
  count = 0;

  add(name: string): void {
    this.count += 1;
    if (this.names.length < MAX_LISTED_REPOSITORIES) this.names.push(shown(name));
  }
}

/** Why the catalog is not available, with the remedy. */
function withoutCatalog(error: unknown, patterns: readonly string[]): unknown {
  if (!(error instanceof Fault) || isTransient(error)) return error;
  const { code, message, detail, cause } = error;
  const needing = patterns.filter((pattern) => pattern.endsWith('*')).join(', ');
  const remedy = `name each repository instead of ${needing} in repositories, or let the login of this layer list the catalog (an Azure registry lists it for no token with a scope map of single repositories)`;
  return new Fault(code, `${message}; ${remedy}`, { cause, ...(detail && { detail }) });
}
