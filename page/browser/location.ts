import { signal } from '@preact/signals';
import { hrefOf, parseRoute, type Route } from '../state/routes.ts';

export const route = signal<Route>(parseRoute(location.hash));

export function startLocation(): void {
  addEventListener('hashchange', () => {
    const before = route.peek().view;
    route.value = parseRoute(location.hash);
    if (route.peek().view !== before) scrollTo(0, 0);
  });
}

export function go(to: Exclude<Route, { view: 'unknown' }>): void {
  location.hash = hrefOf(to);
}

/** Changes the address of the same view, as a filter does while it is typed, without an entry in the history. */
export function replaceRoute(to: Exclude<Route, { view: 'unknown' }>): void {
  history.replaceState(null, '', hrefOf(to));
  route.value = to;
}
