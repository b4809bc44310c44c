import type { Start } from '#proto/accounts/children.ts';
import type { Held } from '../metadata/records.ts';

/**
 * Of two layers that are one and the same instance, as one is a copy of the other, only one may synchronise. Each start
 * of a layer has an id of its own, and says which starts came before it. Pure.
 */

/** A start that asked for the place while another one had it, and when it first did, in ms. */
export type Waiting = { id: string; since: number };

export type Verdict =
  /** It has the place already. */
  | 'holds'
  /** It takes the place: the start that had it has ended. */
  | 'takes'
  /** Nobody can tell yet whether the start that has the place has ended. */
  | 'waits'
  /** Both are alive, or it had the place before. */
  | 'is a copy';

/**
 * A layer that waits for its parent's changes is heard once a minute: one that was silent for so long has ended, or has
 * no link, in ms.
 */
export const MAX_SILENCE_MS = 90_000;
/** So many starts are remembered of each kind. */
const MAX_REMEMBERED = 16;

export type Facts = {
  held: Held;
  asking: Start;
  /** When the start that has the place was last heard, in ms. */
  heard: number;
  waiting: Waiting | undefined;
  now: number;
};

/**
 * A start takes over from one that has ended for sure. After a restart of the machine, and for a volume that was moved, copied or restored, that is not known:
 * then the start that has the place must have been silent. One that is heard after the other one asked is alive.
 */
export function verdictOn({ held, asking, heard, waiting, now }: Facts): Verdict {
  const { id, before, ended } = asking;
  if (id === held.id) return 'holds';
  const copies = held.copies ?? [];
  if (held.replaced?.includes(id) || copies.includes(id)) return 'is a copy';
  if (before.slice(0, ended).includes(held.id)) return 'takes';
  if (before.some((one) => copies.includes(one))) return 'is a copy';
  const askedBefore = waiting?.id === id || (waiting && before.includes(waiting.id));
  if (askedBefore && heard > waiting.since) return 'is a copy';
  return now - heard >= MAX_SILENCE_MS ? 'takes' : 'waits';
}

/** The start that takes the place. */
export function succeed(held: Held | undefined, { id, at }: Start, address: string | undefined): Held {
  const { replaced = [], copies = [] } = held ?? {};
  return {
    id,
    at,
    ...(address !== undefined && { address }),
    ...(held && { replaced: [held.id, ...replaced].slice(0, MAX_REMEMBERED) }),
    ...(copies.length > 0 && { copies }),
  };
}

export function withCopy(held: Held, id: string): Held {
  const { copies = [] } = held;
  if (copies.includes(id)) return held;
  return { ...held, copies: [id, ...copies].slice(0, MAX_REMEMBERED) };
}
