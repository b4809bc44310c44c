import { createRequire } from 'node:module';
import type * as Re2 from 're2js';

/**
 * Regular expressions of tags, in the syntax of RE2. For any expression, a match takes time linear in the length of the
 * tag, and an expression that needs a large program is refused. Tags are untrusted input.
 */

const require = createRequire(import.meta.url);

/** @returns a predicate for complete tags, or why the text is not an expression */
export function readTagRegex(source: string): ((tag: string) => boolean) | { reason: string } {
  // Loaded on demand: it takes some MB, which a layer without a regular expression does not need.
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
