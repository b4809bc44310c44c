import { randomUUID } from 'node:crypto';
import type { Repository } from '#proto/oci/names.ts';

/** Per repository, the tags and digests that a client has changed. */
export type Scope = ReadonlyMap<Repository, ReadonlySet<string>>;

/** Max entries of a scope: beyond that, the pass compares everything. */
export const MAX_SCOPE_ENTRIES = 1_000;

/** Request for a pass. */
export type PassRequest = {
  id: string;
  cause: string;
  /** Compares everything again, including content that is known to agree, and retries parked changes. */
  full?: boolean;
  /** A caller requested the pass and follows its events. */
  asked?: boolean;
  /** May use the link although the window is closed. */
  now?: boolean;
  /** Only these entries are compared; everything if absent. */
  scope?: Scope;
};

export const newRequest = (cause: string): PassRequest => ({ id: randomUUID(), cause });

/** Merges two requests. The result has the id of the first, which a caller may have received. */
export function mergeRequests(first: PassRequest | undefined, second: PassRequest): PassRequest {
  if (!first) return second;
  const { id } = first;
  // A pass for a new configuration retries parked changes: its cause takes precedence.
  const { cause } = second.cause === 'configuration' ? second : first;
  const scope = mergeScopes(first.scope, second.scope);
  return {
    id,
    cause,
    ...((first.full || second.full) && { full: true }),
    ...((first.now || second.now) && { now: true }),
    ...((first.asked || second.asked) && { asked: true }),
    ...(scope && { scope }),
  };
}

/** Undefined (everything) if one of the scopes is, or if both together exceed `MAX_SCOPE_ENTRIES`. */
function mergeScopes(one: Scope | undefined, other: Scope | undefined): Scope | undefined {
  if (!one || !other) return undefined;
  const all = new Map(one);
  for (const [repository, references] of other) {
    all.set(repository, new Set([...(all.get(repository) ?? []), ...references]));
  }
  const entries = [...all.values()].reduce((sum, { size }) => sum + size, 0);
  return entries > MAX_SCOPE_ENTRIES ? undefined : all;
}
