import type { Bytes } from '../bytes/bytes.ts';
import { DeflateInvalid, DeflateTooLong } from '../deflate/parse.ts';
import { Expander, type Expansion, type ExpansionOptions, unexpanded } from './expansion.ts';
import { gzipHeaderLength, TRAILER_BYTES } from './gzip-header.ts';

/**
 * Expands gzip with any number of members; everything else, and what follows the last member, is content as it is.
 * @throws DeflateInvalid if a member is damaged; DeflateTooLong
 */
export function expandGzip(source: Bytes, options: ExpansionOptions): Expansion {
  if (gzipHeaderLength(source, 0) === undefined) return unexpanded(source);
  const expander = new Expander(source, options);
  for (let at = 0; ; ) {
    const header = gzipHeaderLength(source, at);
    if (header === undefined) return expander.end();
    at = Math.min(source.size, expander.deflate(at + header) + TRAILER_BYTES);
  }
}

/** The same, but damaged gzip is content as it is, too. @throws DeflateTooLong */
export function expandBlob(
  source: Bytes,
  options: ExpansionOptions,
): { isGzip: boolean; expansion: Expansion } {
  if (source.size > options.maxLength) throw new DeflateTooLong('the content is too long');
  if (gzipHeaderLength(source, 0) === undefined) return { isGzip: false, expansion: unexpanded(source) };
  try {
    return { isGzip: true, expansion: expandGzip(source, options) };
  } catch (error) {
    if (!(error instanceof DeflateInvalid) || error instanceof DeflateTooLong) throw error;
    return { isGzip: false, expansion: unexpanded(source) };
  }
}

/** Expands the deflate streams at these places, in order. @throws DeflateInvalid, DeflateTooLong as above */
export function expandAt(source: Bytes, places: Iterable<number>, options: ExpansionOptions): Expansion {
  const expander = new Expander(source, options);
  for (const at of places) expander.deflate(at);
  return expander.end();
}
