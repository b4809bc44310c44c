import type { TSchema } from '@sinclair/typebox';
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value';
import { innermostErrors, stepsOf } from '#proto/contract/schema-errors.ts';
import { quote } from '#proto/document/validation/remedies.ts';

/** Complaints of a schema, with the remedies that its fields have. */

/** A place in a manifest, and what is wrong there. */
export type Complaint = { at: string; text: string };

/** The first complaint of each place. @param path place of the value */
export function schemaComplaints(schema: TSchema, value: unknown, path: string): Complaint[] {
  const complaints = new Map<string, Complaint>();
  for (const error of [...Value.Errors(schema, value)].flatMap(innermostErrors)) {
    const at = [path, ...stepsOf(error)].join('.');
    if (!complaints.has(at)) complaints.set(at, { at, text: `${at} ${causeOf(error, at)}` });
  }
  return [...complaints.values()];
}

function causeOf({ type, schema, value }: ValueError, at: string): string {
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    if (schema.names) return `is not a valid name: ${schema.names}`;
    return `is not a field: the fields are ${Object.keys(schema.properties ?? {}).join(', ')}`;
  }
  const shown = isSecret(at) || typeof value === 'object' ? '' : `${quote(value)} `;
  return value === undefined ? `is missing: ${schema.remedy}` : `${shown}is not valid: ${schema.remedy}`;
}

/** Values that may contain a password. */
const isSecret = (at: string) => /\.(?:env|registryCredentials|createoptions\d*)(?:\.|$)/i.test(at);

/** Schema of the value at these steps below a value; undefined if there can be none. */
export function schemaAt(schema: TSchema, steps: string[]): TSchema | undefined {
  const [step, ...rest] = steps;
  if (step === undefined) return schema;
  const byName: TSchema | undefined = schema.properties?.[step];
  const patterns = Object.entries((schema.patternProperties ?? {}) as Record<string, TSchema>);
  const inner = byName ?? patterns.find(([pattern]) => new RegExp(pattern, 'u').test(step))?.[1];
  if (inner) return schemaAt(inner, rest);
  const variants: TSchema[] = schema.anyOf ?? [];
  return variants.map((variant) => schemaAt(variant, steps)).find(Boolean);
}
