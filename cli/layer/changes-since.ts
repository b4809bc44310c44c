import { tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import { matches } from '#proto/contract/schema-check.ts';
import type { DataFolder } from '../data/data-folder.ts';
import type { ClientChanges } from '../text/rollback-text.ts';
import { readStoredEvents } from './stored-events.ts';

/** Max tags of which a change is remembered. */
const MAX_TAGS = 10_000;

/**
 * What clients of the layer pushed and deleted since an instant, by the stored events; what came from the parent is
 * not among it. The caller holds the pid file of the data folder.
 * @throws Error if the events can't be read
 */
export async function changesSince(folder: DataFolder, since: Date): Promise<ClientChanges> {
  const last = new Map<string, 'pushed' | 'deleted'>();
  let complete = true;
  const add = (repository: string, tag: string, what: 'pushed' | 'deleted') => {
    const name = `${repository}:${tag}`;
    if (last.size < MAX_TAGS || last.has(name)) last.set(name, what);
    else complete = false;
  };
  await readStoredEvents(folder, since, (type, data) => {
    if (type === tagMoved.type && matches(tagMoved.data, data) && !data.arrived) {
      add(data.repository, data.tag, 'pushed');
    } else if (type === tagDeleted.type && matches(tagDeleted.data, data) && !data.arrived) {
      add(data.repository, data.tag, 'deleted');
    }
  });
  const named = (what: string) => [...last].filter(([, change]) => change === what).map(([name]) => name);
  return { pushed: named('pushed'), deleted: named('deleted'), complete };
}
