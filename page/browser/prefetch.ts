import { firstPathOf } from '../state/requests.ts';
import { parseRoute } from '../state/routes.ts';

/** Time for which the pointer rests on a link before its view is requested, in ms: a click takes longer. */
const REST_MS = 40;

/** Requests what a link leads to when the pointer rests on it, or when it gets the focus. */
export function startPrefetch(request: (path: string) => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = ({ target }: Event) => {
    clearTimeout(timer);
    const link = target instanceof Element ? target.closest('a[href^="#/"]') : null;
    const path = link && firstPathOf(parseRoute(link.getAttribute('href') ?? ''));
    if (path) timer = setTimeout(request, REST_MS, path);
  };
  for (const type of ['pointerover', 'focusin']) addEventListener(type, begin, { passive: true });
}
