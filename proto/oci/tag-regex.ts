import { createRequire } from 'node:module';
import type * as Re2 from 're2js';

/**
 * Regular expressions of tags as RE2 has them: the time that a match takes is linear in the length of the tag, whatever
 * the expression is, and one that would need a large program is refused. Tags come from others.
 */

const require = createRequire(import.meta.url);

/** @returns whether a whole tag matches, or why the text is no such expression */
export function readTagRegex(source: string): ((tag: string) => boolean) | { reason: string } {
  // Some MB, which a layer without a regular expression does not need.
  const { RE2JS, RE2JSException, RE2JSSyntaxException } = require('re2js') as typeof Re2;
  try {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(source));
    return (tag) => compiled.matches(tag);
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return { reason: error.getDescription() };
    if (error instanceof RE2JSException) return { reason: error.message };
    throw error;
  }
}
