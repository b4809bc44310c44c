import { type Route, withQuery } from './routes.ts';

/** Paths of the API of what a view shows first: a link can request it before it is followed. Pure. */

/** Pages of lists: of any length, they stay fast to show and to read. */
const PAGE = 100;

type Of<V extends Route['view']> = Omit<Extract<Route, { view: V }>, 'view'>;

export const repositoriesPath = ({ match, state }: Of<'repositories'>, after?: string): string =>
  withQuery('/repositories', { limit: PAGE, match, state, after });

export const repositoryPath = (repository: string): string => `/repositories/${encodeURI(repository)}`;

export const tagsPath = ({ repository, differing }: Of<'repository'>, after?: string): string =>
  withQuery(`/repositories/${encodeURI(repository)}/tags`, {
    limit: PAGE,
    differing: differing ? 'true' : undefined,
    after,
  });

export const manifestPath = ({ repository, reference }: Of<'manifest'>): string =>
  `/repositories/${encodeURI(repository)}/manifests/${encodeURIComponent(reference)}`;

/** Undefined for a view whose first request depends on more than its address. */
export function firstPathOf(route: Route): string | undefined {
  switch (route.view) {
    case 'repositories':
      return repositoriesPath(route);
    case 'repository':
      return tagsPath(route);
    case 'manifest':
      return manifestPath(route);
    case 'layers':
    case 'accounts':
      return `/${route.view}`;
    case 'settings':
      return '/configuration';
    default:
      return undefined;
  }
}
