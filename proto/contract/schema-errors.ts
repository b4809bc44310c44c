import { createRequire } from 'node:module';
import type * as Errors from '@sinclair/typebox/errors';
import type { TSchema } from './schema.ts';

export type ValueError = Errors.ValueError;

const require = createRequire(import.meta.url);

/** What is wrong with a value; empty if it matches. */
export function errorsOf(schema: TSchema, value: unknown): Iterable<ValueError> {
  // Loaded on demand: most processes never meet an invalid value.
  const { Errors: check } = require('@sinclair/typebox/errors') as typeof Errors;
  return check(schema, [], value);
}

/** For a value of a union: the errors within the variant that the value appears to be. Otherwise, the error itself. */
export function innermostErrors(error: ValueError): ValueError[] {
  for (const variant of error.errors) {
    const inner = [...variant];
    if (inner.every(({ path }) => path !== error.path)) return inner.flatMap(innermostErrors);
  }
  return [error];
}

/** The steps of an error's path, a JSON pointer (RFC 6901). */
export const stepsOf = ({ path }: ValueError): string[] =>
  path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
