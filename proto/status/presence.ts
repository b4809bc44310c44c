import { type Static, Type } from '@sinclair/typebox';
import { state } from '../contract/contract.ts';
import { Instant } from '../oci/names.ts';
import type { LayerReport, Layers } from './layers-below.ts';

/**
 * Which layers below are there. One that keeps a request at this layer the whole time (`live` in the state of its link)
 * says with it who it is, and is believed to be as it last told for as long as it renews that request.
 */

/** When a child last asked. Written by the gateway. Key: the child. */
export const Presence = Type.Object({ seen: Instant });
export type Presence = Static<typeof Presence>;
export const presence = state('presence', Presence);

/** A request rests for up to 58 s, and the next one follows at once: who was not heard of for so long is cut off, in ms. */
export const MAX_SILENCE_MS = 90_000;
/** The code of a link whose layer is cut off from whoever tells of it. */
export const NOT_HEARD = 'not-heard';

/** How the layers that a child told of stand now. Pure. */
export function layersNow(
  { seen, layers }: Layers,
  heard: Presence | undefined,
  now: number,
): { seen: number; layers: LayerReport[] } {
  const last = Math.max(seen, heard?.seen ?? 0);
  const own = layers.find(({ path }) => path.length === 0)?.link;
  const isExpected = own?.live === true && (own.window === undefined || now < own.window.until);
  if (!isExpected || now - last <= MAX_SILENCE_MS) return { seen: last, layers };
  const detail = `not heard from since ${new Date(last).toISOString()}`;
  return { seen: last, layers: layers.map((layer) => withoutLink(layer, last, detail)) };
}

function withoutLink(layer: LayerReport, since: number, detail: string): LayerReport {
  const { link, ...rest } = layer;
  if (!link) return layer;
  const { lastSync, coordinator } = link;
  const known = { coordinator, ...(lastSync !== undefined && { lastSync }) };
  return { ...rest, link: { state: 'Offline', since, detail, code: NOT_HEARD, ...known } };
}
