import { isDeepStrictEqual } from 'node:util';
import { kinds } from '../metadata/keys.ts';
import { kindOfKey, partsOfKey } from './record-rules.ts';
import type { Remnant } from './remnants.ts';

/** Kinds of records that operators know by name. */
const NAMES: Record<string, string> = {
  [kinds.token]: 'token',
  [kinds.scopeMap]: 'scope map',
  [kinds.child]: 'child',
  [kinds.manifest]: 'manifest',
  [kinds.repository]: 'repository',
  [kinds.tag]: 'tag',
};

/**
 * Describes for an operator the loss of an entry in damaged bytes. Pure.
 * @param current value of the record in the repaired metadata
 * @returns undefined if nothing was lost, or if records of this kind have no name that operators know
 */
export function lossNotice({ key, deleted, value }: Remnant, current: unknown): string | undefined {
  const name = nameOf(key);
  if (!name) return undefined;
  if (deleted) return current === undefined ? undefined : `the deletion of ${name}: it exists again`;
  if (current === undefined) return name;
  // These records are rebuilt from content.
  const kind = kindOfKey(key);
  if (kind === kinds.manifest || kind === kinds.repository) return undefined;
  return isDeepStrictEqual(current, value)
    ? undefined
    : `the last change of ${name}: it has its previous value`;
}

function nameOf(key: string): string | undefined {
  const kind = NAMES[kindOfKey(key)];
  const separator = kindOfKey(key) === kinds.tag ? ':' : '@';
  return kind && `${kind} ${partsOfKey(key).join(separator)}`;
}
