import { OptionalKind, type TSchema } from '../../contract/schema.ts';
import { Document } from '../document.ts';

/**
 * The well-formed part of a document, so that one round of complaints also has what a schema can't express. Pure.
 */

/** Present entries of a list: of a misformed one, the place is empty, so that the others keep their index. */
export const entriesOf = <T>(list: readonly T[]): [at: number, value: T][] =>
  [...list.entries()].filter(([at]) => at in list);

/** Mappings whose fields, required ones too, are checked each by itself. */
const FIELD_BY_FIELD = new Set(['audit.syslog']);

/** @param misformed paths of fields that are not as the schema requires */
export function wellFormedPart(fields: object, misformed: readonly string[]): Document {
  const part = structuredClone(fields) as Record<string, unknown>;
  for (const path of misformed) remove(part, path.split('.'));
  // It decides whether layers below may write: their modes are not to be refused because of it.
  if (misformed.includes('mode')) part.mode = 'ReadWrite';
  return part as Document;
}

/**
 * Removes the entry of a list with the field; else an optional field of a mapping, or a field of one in
 * `FIELD_BY_FIELD`; else the field of the document.
 */
function remove(part: Record<string, unknown>, steps: string[]): void {
  let owner: unknown = part;
  for (const [depth, step] of steps.entries()) {
    if (Array.isArray(owner)) {
      delete owner[Number(step)];
      return;
    }
    if (typeof owner !== 'object' || owner === null) break;
    const isInner = steps.length > 2 && FIELD_BY_FIELD.has(`${steps[0]}.${step}`);
    if (
      depth === 1 &&
      !isInner &&
      isOptional(steps[0] as string, step) &&
      !holdsList(owner, steps.slice(1))
    ) {
      delete (owner as Record<string, unknown>)[step];
      return;
    }
    if (depth === 2 && FIELD_BY_FIELD.has(`${steps[0]}.${steps[1]}`)) {
      delete (owner as Record<string, unknown>)[step];
      return;
    }
    owner = (owner as Record<string, unknown>)[step];
  }
  delete part[steps[0] as string];
}

/** Whether a list is on the way to the field. */
function holdsList(owner: unknown, steps: string[]): boolean {
  let value = owner;
  for (const step of steps.slice(0, -1)) {
    value = (value as Record<string, unknown> | undefined)?.[step];
    if (Array.isArray(value)) return true;
  }
  return false;
}

/** A field that the schema does not have counts as optional. */
function isOptional(field: string, inner: string): boolean {
  const owner: TSchema | undefined = (Document.properties as Record<string, TSchema>)[field];
  const schema: TSchema | undefined = owner?.properties?.[inner];
  return schema === undefined || schema[OptionalKind] !== undefined;
}
