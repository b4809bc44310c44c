import type { ValueError } from '@sinclair/typebox/errors';

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
