import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TSchema } from '@sinclair/typebox';
import { WireFault } from '#proto/contract/fault.ts';
import { type Declared, messages } from '../../docs/declared.ts';

/** The size of every declared message is bounded, for any content. */

const all = messages.map(({ message }) => message);

function schemasOf(one: Declared): [string, TSchema][] {
  switch (one.kind) {
    case 'request':
      return [
        [`${one.subject} (query)`, one.query],
        [`${one.subject} (reply)`, one.reply],
      ];
    case 'job':
      return [[one.subject, one.body]];
    case 'event':
      return [[`event ${one.type}`, one.data]];
    case 'state':
      return [[`state ${one.bucket}`, one.value]];
  }
}

/** Unbounded parts of a schema. */
function unboundedParts(schema: TSchema, path: string): string[] {
  const wrong: string[] = [];
  const isText = schema.type === 'string' && schema.const === undefined;
  if (isText && schema.maxLength === undefined) wrong.push(`${path}: maxLength`);
  if (schema.type === 'Uint8Array' && schema.maxByteLength === undefined) {
    wrong.push(`${path}: maxByteLength`);
  }
  if (schema.type === 'array') {
    if (schema.maxItems === undefined) wrong.push(`${path}: maxItems`);
    wrong.push(...unboundedParts(schema.items as TSchema, `${path}[]`));
  }
  for (const one of [...(schema.anyOf ?? []), ...(schema.allOf ?? [])] as TSchema[]) {
    wrong.push(...unboundedParts(one, path));
  }
  for (const [pattern, value] of Object.entries(
    (schema.patternProperties ?? {}) as Record<string, TSchema>,
  )) {
    if (schema.maxProperties === undefined) wrong.push(`${path}: maxProperties`);
    if (schema.additionalProperties !== false) wrong.push(`${path}: keys that do not match the pattern`);
    if (/^\^\(?\.\*\)?\$$/.test(pattern)) wrong.push(`${path}: keys of any length`);
    wrong.push(...unboundedParts(value, `${path}{}`));
  }
  for (const [name, field] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
    wrong.push(...unboundedParts(field, `${path}.${name}`));
  }
  return wrong;
}

test('every text, list and record of every message is bounded', () => {
  assert.ok(all.length > 80, `${all.length} messages are declared`);
  const schemas: [string, TSchema][] = [...all.flatMap(schemasOf), ['fault', WireFault]];
  assert.deepEqual(
    schemas.flatMap(([name, schema]) => unboundedParts(schema, name)),
    [],
  );
});
