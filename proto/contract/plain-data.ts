import { clip } from './clip.ts';

/** Data nested deeper than this is refused. */
const MAX_DEPTH = 32;

/** Keys that change what an object is, in one decoder or another, instead of being data in it. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

export const isForbiddenKey = (key: string): boolean => FORBIDDEN.has(key);

/**
 * Why a value is not plain data, which every encoding carries unchanged, as `/path: reason`; undefined where it is.
 * A schema alone does not tell: it lets unknown fields pass, and so does `Unknown`.
 */
export function notPlain(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'string':
      return value.isWellFormed() ? undefined : ': has half of a surrogate pair';
    case 'number':
      if (!Number.isFinite(value)) return `: ${value} is not a finite number`;
      // Sums of larger ones are not what they seem, and end where numbers do.
      return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? undefined : `: ${value} is too large a number`;
    case 'object':
      break;
    default:
      return `: a ${typeof value} is not data`;
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
  const made = Object.getPrototypeOf(value);
  if (made !== Object.prototype && made !== null) return ': is not a plain object';
  for (const key of Object.keys(value)) {
    const path = `/${clip(key, 64)}`;
    if (FORBIDDEN.has(key)) return `${path}: a field of this name is not taken`;
    if (!key.isWellFormed()) return `${path}: the name has half of a surrogate pair`;
    const why = notPlain((value as Record<string, unknown>)[key], depth + 1);
    if (why) return path + why;
  }
  return undefined;
}
