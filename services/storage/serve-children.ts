import { activateChild, checkChild, deactivateChild, layerInstance, listChildren } from '#proto/children.ts';
import type { On } from './serve.ts';
import type { Storage } from './storage.ts';

export function serveChildren(on: On, { children }: Storage): void {
  on(activateChild, (q) => children.activate(q.name, q.instance));
  on(checkChild, async (q) => ({ free: await children.isFree(q.name, q.instance) }));
  on(listChildren, async () => ({ children: await children.list() }));
  on(deactivateChild, async (q) => ({ was: await children.deactivate(q.name) }));
  on(layerInstance, async () => ({ instance: await children.instance() }));
}
