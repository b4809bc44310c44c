import type { ManifestHistory } from '../../api/manifests.ts';
import type { HistoryReader } from '../../bus/roles.ts';
import type { Envelope } from '../../contract/envelope.ts';
import type { Static } from '../../contract/schema.ts';
import { type RecentEvent, recentEvents } from '../recent-events.ts';

type HeldBelow = NonNullable<Static<typeof ManifestHistory>['below']>;

/** Subjects of the events of layers below that say that one has a manifest, or has it no more. */
const SUBJECTS = ['below.*.manifest.>', 'below.*.image.finished'];
/** Max events of each subject, and max pages that are read for them. */
const MAX_EVENTS = 200;
const MAX_PAGES = 6;
/** Max layers in the answer. */
export const MAX_HELD_BELOW = 100;

type Data = { repository?: string; digest?: string; direction?: string };

/** Layers below that have the manifest, as far as the last retained events of them say. */
export async function heldBelow(bus: HistoryReader, repository: string, digest: string): Promise<HeldBelow> {
  const fits = ({ type, data }: Envelope) => {
    const fields = (data ?? {}) as Data;
    if (fields.repository !== repository || fields.digest !== digest) return false;
    return type !== 'terrace.image.finished' || fields.direction === 'down';
  };
  const query = { limit: MAX_EVENTS, maxPages: MAX_PAGES, fits };
  const found: RecentEvent[] = [];
  for (const subject of SUBJECTS)
    for (const one of (await recentEvents(bus, { ...query, subject })).events) found.push(one);
  found.sort((a, b) => b.sequence - a.sequence);
  const last = new Map<string, { at: number; has: boolean }>();
  for (const { time, event } of found) {
    const layer = event.layer ?? '';
    if (!last.has(layer)) last.set(layer, { at: time, has: event.type !== 'terrace.manifest.deleted' });
  }
  return [...last]
    .filter(([layer, { has }]) => layer && has)
    .slice(0, MAX_HELD_BELOW)
    .map(([layer, { at }]) => ({ layer, at }));
}
