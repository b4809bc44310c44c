import { eventTypes } from '#proto/contract/event-types.ts';
import { editsBetween } from '#proto/contract/near-words.ts';
import { Refusal } from '../terminal/refusal.ts';

/** Max types that an error proposes. */
const MAX_PROPOSED = 4;
/** Max length of a type, as of `EventItem` in proto/api/events.ts. */
const MAX_LENGTH = 128;

/** The types and their beginnings, in order: `tag`, `tag.deleted`, `tag.moved`. */
const known = [
  ...new Set(
    eventTypes.flatMap((type) => type.split('.').map((_, end, parts) => parts.slice(0, end + 1).join('.'))),
  ),
].sort();

/**
 * The values of `--type` without the `terrace.` that types have in CloudEvents.
 * @param isAny whether types are taken that this version does not know: a layer below may have a later one
 * @throws Refusal if one is neither a type nor its beginning up to a dot
 */
export function eventTypesOf(given: string[], isAny = false): string[] {
  return given.map((text) => {
    const type = text.replace(/^terrace\./, '');
    if (isAny || known.includes(type)) return type;
    const near = type.length <= MAX_LENGTH ? nearTypes(type) : [];
    const question = near.length > 0 ? `did you mean ${near.join(' or ')}? Write` : 'write';
    throw new Refusal(
      `--type "${text.slice(0, MAX_LENGTH)}" is not a type of events: ${question} a type, or its beginning up to a dot, such as transfer for all events of transfers (docs/reference/events.md has all); --any-type takes types of later versions, which layers below may have`,
      2,
    );
  });
}

/** The types and beginnings that are the most like a text: nearly its letters, or a part of it. */
export function nearTypes(text: string): string[] {
  const wanted = text.toLowerCase();
  const distances = known.map((type) => ({ type, distance: distanceTo(wanted, type) }));
  return distances
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_PROPOSED)
    .map(({ type }) => type);
}

/** Edits from a text to a type; infinite if they are too many, and neither the type nor its action begins with it. */
function distanceTo(wanted: string, type: string): number {
  const count = editsBetween(wanted, type);
  if (count <= Math.max(1, Math.floor(Math.min(wanted.length, type.length) / 3))) return count;
  const [, action] = type.split('.');
  const isPart = wanted.length > 2 && (type.startsWith(wanted) || action?.startsWith(wanted));
  return isPart ? count : Number.POSITIVE_INFINITY;
}
