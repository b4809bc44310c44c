import { randomUUID } from 'node:crypto';
import type { Traceparent } from '#proto/contract/traceparent.ts';
import type { Repository } from '#proto/oci/names.ts';
import type { Retried } from '#proto/sync/passes.ts';

/** Per repository, the tags and digests that a client has changed. */
export type Scope = ReadonlyMap<Repository, ReadonlySet<string>>;

/**
 * What is tried again although its time has not come: everything, or these repositories, all or some tags and digests
 * of each.
 */
export type Retries = 'all' | ReadonlyMap<Repository, 'all' | ReadonlySet<string>>;

/** Whether it is to be tried again. */
export const isRetried = (
  retries: Retries | undefined,
  { repository, reference }: { repository: Repository; reference: string },
): boolean => {
  if (retries === undefined || retries === 'all') return retries === 'all';
  const references = retries.get(repository);
  return references === 'all' || references?.has(reference) === true;
};

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
  /** With a scope, its repositories are compared completely. */
  retries?: Retries;
  /** Where traces are on: spans of the requests that made the changes, by `changeKey`. */
  traces?: ReadonlyMap<string, Traceparent>;
};

/** Of a change of a tag, or of a manifest by its digest. */
export const changeKey = (repository: Repository, reference: string): string => `${repository}!${reference}`;

export const newRequest = (cause: string): PassRequest => ({ id: randomUUID(), cause });

/** The part of a request that tries something again. */
export function retryOf({ repository, reference }: Retried): Pick<PassRequest, 'scope' | 'retries'> {
  if (repository === undefined) return { retries: 'all' };
  const names = new Set(reference === undefined ? [] : [reference]);
  const retried = reference === undefined ? ('all' as const) : names;
  return { scope: new Map([[repository, names]]), retries: new Map([[repository, retried]]) };
}

/** Merges two requests. The result has the id of the first, which a caller may have received. */
export function mergeRequests(first: PassRequest | undefined, second: PassRequest): PassRequest {
  if (!first) return second;
  const { id } = first;
  // A pass for a new configuration retries parked changes: its cause takes precedence.
  const { cause } = second.cause === 'configuration' ? second : first;
  const scope = mergeScopes(first.scope, second.scope);
  const traces = mergeTraces(first.traces, second.traces);
  const retries = mergeRetries(first.retries, second.retries);
  return {
    id,
    cause,
    ...((first.full || second.full) && { full: true }),
    ...((first.now || second.now) && { now: true }),
    ...((first.asked || second.asked) && { asked: true }),
    ...(scope && { scope }),
    ...(retries && { retries }),
    ...(traces && { traces }),
  };
}

/** The first ones, beyond `MAX_SCOPE_ENTRIES`. A later change of the same tag replaces the earlier one. */
function mergeTraces(one: PassRequest['traces'], other: PassRequest['traces']): PassRequest['traces'] {
  if (!one || !other) return one ?? other;
  const all = [...new Map([...one, ...other])];
  return new Map(all.slice(0, MAX_SCOPE_ENTRIES));
}

function mergeRetries(one: Retries | undefined, other: Retries | undefined): Retries | undefined {
  if (!one || !other) return one ?? other;
  if (one === 'all' || other === 'all') return 'all';
  const all = new Map(one);
  for (const [repository, references] of other) {
    const known = all.get(repository) ?? new Set<string>();
    const isAll = known === 'all' || references === 'all';
    all.set(repository, isAll ? 'all' : new Set([...known, ...references]));
  }
  return all;
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
