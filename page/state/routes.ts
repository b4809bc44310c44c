/**
 * Addresses of the views, in the fragment of the URL: `#/repositories/line%2Fweb/tags/2?differing=true`. They can be
 * bookmarked and shared, and need nothing from the server.
 */
export type Route =
  | { view: 'overview' }
  | { view: 'repositories'; match: string; state: string }
  | { view: 'repository'; repository: string; differing: boolean }
  | { view: 'manifest'; repository: string; reference: string }
  | { view: 'events'; type: string; layer: string; since: string }
  | { view: 'layers' }
  | { view: 'accounts' }
  | { view: 'settings' }
  | { view: 'unknown'; path: string };

export function parseRoute(fragment: string): Route {
  const [path = '', query = ''] = fragment.replace(/^#?\/?/, '').split('?');
  const parameters = new URLSearchParams(query);
  const value = (name: string) => parameters.get(name) ?? '';
  const [view = '', repository, kind, reference] = path.split('/').map(decode);
  switch (view) {
    case '':
      return { view: 'overview' };
    case 'repositories':
      if (repository && kind === 'manifests' && reference) return { view: 'manifest', repository, reference };
      if (repository) return { view: 'repository', repository, differing: parameters.has('differing') };
      return { view: 'repositories', match: value('match'), state: value('state') };
    case 'events':
      return { view: 'events', type: value('type'), layer: value('layer'), since: value('since') };
    case 'layers':
    case 'accounts':
    case 'settings':
      return { view };
    default:
      return { view: 'unknown', path };
  }
}

export function hrefOf(route: Exclude<Route, { view: 'unknown' }>): string {
  switch (route.view) {
    case 'overview':
      return '#/';
    case 'repositories':
      return withQuery('#/repositories', { match: route.match, state: route.state });
    case 'repository':
      return withQuery(`#/repositories/${encodeURIComponent(route.repository)}`, {
        differing: route.differing ? 'true' : undefined,
      });
    case 'manifest':
      return `#/repositories/${encodeURIComponent(route.repository)}/manifests/${encodeURIComponent(route.reference)}`;
    case 'events':
      return withQuery('#/events', { type: route.type, layer: route.layer, since: route.since });
    default:
      return `#/${route.view}`;
  }
}

export function withQuery(path: string, parameters: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
