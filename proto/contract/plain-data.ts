import { clip } from './clip.ts';

/** Max nesting depth of data. */
const MAX_DEPTH = 32;

/** Keys that some decoders apply to the object itself instead of storing them as data. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

export const isForbiddenKey = (key: string): boolean => FORBIDDEN.has(key);

/**
 * Checks that a value is plain data, which every encoding carries unchanged. A schema alone does not ensure this: it
 * accepts unknown fields, and `Unknown` accepts any value.
 * @returns why it is not, as `/path: reason`; undefined for plain data
 */
export function notPlain(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'string':
      return value.isWellFormed() ? undefined : ': contains an unpaired surrogate';
    case 'number':
      if (!Number.isFinite(value)) return `: ${value} is not a finite number`;
      // Sums of larger numbers lose precision and may overflow.
      return Math.abs(value) <= Number.MAX_SAFE_INTEGER
        ? undefined
        : `: ${value} is larger than a safe integer`;
    case 'object':
      break;
    default:
      return `: a ${typeof value} is not plain data`;
  }
  if (value === null || value instanceof Uint8Array) return undefined;
  if (depth >= MAX_DEPTH) return `: is nested more than ${MAX_DEPTH} levels deep`;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const why = notPlain(item, depth + 1);
      if (why) return `/${index}${why}`;
    }
    return undefined;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return ': is not a plain object';
  for (const key of Object.keys(value)) {
    const path = `/${clip(key, 64)}`;
    if (FORBIDDEN.has(key)) return `${path}: a field of this name is not allowed`;
    if (!key.isWellFormed()) return `${path}: the name contains an unpaired surrogate`;
    const why = notPlain((value as Record<string, unknown>)[key], depth + 1);
    if (why) return path + why;
  }
  return undefined;
}

/** Whether the value is an object with keys, not an array. */
export const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
