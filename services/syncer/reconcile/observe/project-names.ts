import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { isStatus } from '../../link/answers/retry.ts';
import type { ProjectLister } from '../../link/parent/parent-reader.ts';

/** Statuses by which a parent refuses its catalog. */
const REFUSED = [401, 403, 404, 405, 501];

type Selections = readonly { name: string; from?: string | undefined }[];

/** Repositories by their names here, and why the patterns may match more than these. */
export type ProjectNames = { names: Repository[]; failures: unknown[] };

/**
 * The repositories that the patterns select, from lists of projects, at a parent that refused its catalog and has such
 * lists. A pattern has a project if its first segment is a name.
 * @param refusal why there is no catalog
 * @throws Fault `parent-unreachable`, … if the parent does not answer
 */
export async function projectNames(
  parent: ProjectLister,
  selections: Selections,
  refusal: unknown,
  signal: AbortSignal,
): Promise<ProjectNames> {
  const names: Repository[] = [];
  const failures: unknown[] = [];
  const projects = isStatus(refusal, ...REFUSED) ? projectsOf(selections) : new Map<string, string[]>();
  for (const [project, patterns] of projects) {
    try {
      const listed = await parent.projectRepositories(project, signal);
      if (!listed) return { names: [], failures: [refusal] };
      for (const name of listed) names.push(name);
    } catch (error) {
      const isAnswered = error instanceof Fault && error.detail?.status !== undefined;
      if (!isAnswered && !Fault.is(error, 'parent-invalid')) throw error;
      failures.push(withoutProject(error, refusal, project, patterns));
    }
  }
  const all = selections.filter(({ name, from = name }) => from === '*').map(({ name }) => name);
  if (projects.size === 0) failures.push(refusal);
  else if (all.length > 0) failures.push(withoutProjects(refusal, all));
  return { names, failures };
}

/** Patterns by the project that they select from, by its name at the parent. */
function projectsOf(selections: Selections): Map<string, string[]> {
  const projects = new Map<string, string[]>();
  for (const { name, from = name } of selections) {
    const [project = ''] = from.split('/', 1);
    if (project === '*' || !from.endsWith('*')) continue;
    projects.set(project, [...(projects.get(project) ?? []), from]);
  }
  return projects;
}

/** Why a project can't be listed, with the remedy. */
function withoutProject(error: Fault, refusal: unknown, project: string, patterns: string[]): Fault {
  const { code, detail, cause } = error;
  const message = `${(refusal as Error).message}; ${error.message}`;
  const remedy = isStatus(error, 404)
    ? `check the name of the project ${project} in repositories`
    : `let the login of this layer list the repositories of the project ${project}, or name each repository instead of ${patterns.join(', ')} in repositories`;
  return new Fault(code, `${message}; ${remedy}`, { cause, ...(detail && { detail }) });
}

/** Why there is no catalog, with the remedy. */
function withoutProjects(error: unknown, patterns: string[]): unknown {
  if (!(error instanceof Fault)) return error;
  const { code, message, detail, cause } = error;
  const remedy = `write project/* for each project instead of ${patterns.join(', ')} in repositories, or let the login of this layer list the catalog`;
  return new Fault(code, `${message}; ${remedy}`, { cause, ...(detail && { detail }) });
}
