import type { Repository } from '#proto/oci/names.ts';

/** Repository, and in it the tags and digests that a client has changed. */
export type Scope = ReadonlyMap<Repository, ReadonlySet<string>>;

/** A pass that would look at more than so many single things looks at everything. */
export const MAX_ENTRIES = 1_000;

/** That there be a pass. */
export type PassRequest = {
  id: string;
  cause: string;
  /** Looks at everything again, also at what is known to agree and at what is parked. */
  full?: boolean;
  /** Somebody asked for it, and follows it by its events. */
  asked?: boolean;
  /** May use the link although the window is closed. */
  now?: boolean;
  /** Only these are looked at; everything where it is absent. */
  scope?: Scope;
};

/** One wish that answers both: it has the name of the first, which somebody may have been told. */
export function merged(first: PassRequest | undefined, second: PassRequest): PassRequest {
  if (!first) return second;
  const { id } = first;
  // A new configuration lets the parent be asked again for what it refused.
  const { cause } = second.cause === 'configuration' ? second : first;
  const scope = united(first.scope, second.scope);
  return {
    id,
    cause,
    ...((first.full || second.full) && { full: true }),
    ...((first.now || second.now) && { now: true }),
    ...((first.asked || second.asked) && { asked: true }),
    ...(scope && { scope }),
  };
}

/** Everything, where one of them is everything or they are many. */
function united(one: Scope | undefined, other: Scope | undefined): Scope | undefined {
  if (!one || !other) return undefined;
  const all = new Map(one);
  for (const [repository, references] of other) {
    all.set(repository, new Set([...(all.get(repository) ?? []), ...references]));
  }
  const entries = [...all.values()].reduce((sum, { size }) => sum + size, 0);
  return entries > MAX_ENTRIES ? undefined : all;
}
