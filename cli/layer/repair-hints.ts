import { hintOf, MAX_HINTS, type RepairHint } from '#proto/volume/repair-request.ts';
import type { DataFolder } from '../data/data-folder.ts';
import { readStoredEvents } from './stored-events.ts';

/**
 * Hints about manifests and tags from the layer's stored events, oldest first. The caller holds the pid file of the
 * data folder.
 * @throws Error if the events can't be read
 */
export async function hintsOfEvents(folder: DataFolder): Promise<RepairHint[]> {
  const hints: RepairHint[] = [];
  await readStoredEvents(folder, 1, (type, data) => {
    const hint = hintOf(type, data);
    if (hint) hints.push(hint);
    if (hints.length === MAX_HINTS) hints.splice(0, MAX_HINTS / 2);
  });
  return hints;
}
