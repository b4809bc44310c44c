import type { Start } from '#proto/accounts/children.ts';
import type { ActiveStart } from '../metadata/records.ts';

/**
 * If two layers are the same instance, because one is a copy of the other, only one of them may synchronize. Each start
 * of a layer has its own id and lists the starts before it. The active start is the one that may synchronize. Pure.
 */

/** A start that asked while another one was active; `since`: when it first did, in ms. */
export type Waiting = { id: string; since: number };

export type StartVerdict =
  /** It is active already. */
  | 'holds'
  /** It becomes active: the active start has ended. */
  | 'takes'
  /** It is not known yet whether the active start has ended. */
  | 'waits'
  /** Both are alive, or it was active before. */
  | 'copy';

/**
 * Silence after which a start has ended or has no link, in ms. A layer that polls its parent's changes is seen once a
 * minute.
 */
export const MAX_START_SILENCE_MS = 90_000;
/** Max starts remembered of each kind (replaced, copies). */
const MAX_REMEMBERED = 16;

export type StartFacts = {
  held: ActiveStart;
  asking: Start;
  /** When the active start was last seen, in ms. */
  lastSeen: number;
  waiting: Waiting | undefined;
  now: number;
};

/**
 * A start takes over from one that has certainly ended. After a reboot, and for a volume that was moved, copied or
 * restored, that is not known: then the active start must have been silent. If it is seen after the other one asked, it
 * is alive.
 */
export function verdictOn({ held, asking, lastSeen, waiting, now }: StartFacts): StartVerdict {
  const { id, before, ended } = asking;
  if (id === held.id) return 'holds';
  const copies = held.copies ?? [];
  if (held.replaced?.includes(id) || copies.includes(id)) return 'copy';
  if (before.slice(0, ended).includes(held.id)) return 'takes';
  if (before.some((one) => copies.includes(one))) return 'copy';
  const askedBefore = waiting?.id === id || (waiting && before.includes(waiting.id));
  if (askedBefore && lastSeen > waiting.since) return 'copy';
  return now - lastSeen >= MAX_START_SILENCE_MS ? 'takes' : 'waits';
}

/** The record of the start that becomes active. */
export function succeed(
  held: ActiveStart | undefined,
  { id, at }: Start,
  address: string | undefined,
): ActiveStart {
  const { replaced = [], copies = [] } = held ?? {};
  return {
    id,
    at,
    ...(address !== undefined && { address }),
    ...(held && { replaced: [held.id, ...replaced].slice(0, MAX_REMEMBERED) }),
    ...(copies.length > 0 && { copies }),
  };
}

/** Adds a start to the copies. */
export function withCopy(held: ActiveStart, id: string): ActiveStart {
  const { copies = [] } = held;
  if (copies.includes(id)) return held;
  return { ...held, copies: [id, ...copies].slice(0, MAX_REMEMBERED) };
}
