import { state } from '../contract/contract.ts';
import { Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import type { ChildReport, LayerReport } from './layers-below.ts';

/**
 * Presence of the layers below. A layer that always keeps a request open at this one (`live` in the state of its link)
 * identifies itself with it; while it renews that request, its last report is valid.
 */

/** When a child last sent such a request. Written by the gateway. Key: the child. */
export const Presence = Type.Object({ seen: Instant });
export type Presence = Static<typeof Presence>;
export const presence = state('presence', Presence);

/** Max time without a request before a child is cut off, in ms. A request is held for up to 58 s, then renewed. */
export const MAX_CONTACT_GAP_MS = 90_000;
/** Code of a link whose layer is cut off from the reporting one. */
export const NOT_SEEN = 'not-heard';

/** Current status of the layers that a child reported. Pure. */
export function currentLayers(
  { seen, layers }: ChildReport,
  present: Presence | undefined,
  now: number,
): { seen: number; layers: LayerReport[] } {
  // A time in the future is one of before the clock was set back: it shows no contact since.
  const possible = (time = 0) => (time <= now + MAX_CONTACT_GAP_MS ? time : 0);
  const last = Math.max(possible(seen), possible(present?.seen));
  const childLink = layers.find(({ path }) => path.length === 0)?.link;
  const isExpected =
    childLink?.live === true && (childLink.window === undefined || now < childLink.window.until);
  if (!isExpected || now - last <= MAX_CONTACT_GAP_MS) return { seen: last, layers };
  const since = last > 0 ? new Date(last).toISOString() : 'the clock was set back';
  const detail = `no contact since ${since}`;
  return { seen: last, layers: layers.map((layer) => withoutLink(layer, last, detail)) };
}

function withoutLink(layer: LayerReport, since: number, detail: string): LayerReport {
  const { link, ...facts } = layer;
  if (!link) return layer;
  const { lastSync, comparedAt, coordinator } = link;
  const known = {
    coordinator,
    ...(lastSync !== undefined && { lastSync }),
    ...(comparedAt !== undefined && { comparedAt }),
  };
  return { ...facts, link: { state: 'Offline', since, detail, code: NOT_SEEN, ...known } };
}
