/** Text of manual pages in roff, by the macros of man(7). Pure. */

/** A text of the reference, with its `code` in bold, so that it begins no request. */
export function prose(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (/^`[\s\S]+`$/.test(part) ? bold(part.slice(1, -1)) : literal(part)))
    .join('')
    .replace(/^(?=[.'])/gm, '\\&');
}

export const bold = (text: string): string => `\\fB${literal(text)}\\fR`;
export const italic = (text: string): string => `\\fI${literal(text)}\\fR`;

const special: Record<string, string> = {
  '\\': '\\e',
  '-': '\\-',
  '~': '\\(ti',
  '^': '\\(ha',
  '`': '\\(ga',
  "'": '\\(aq',
  '"': '\\(dq',
};

/** The same characters on each device. */
export const literal = (text: string): string =>
  text.replace(/[\\\-~^`'"]|[^\n\u0020-\u007e]/g, (one) => special[one] ?? unicode(one));

const unicode = (one: string): string =>
  `\\[u${(one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`;

/** @param section 1 for commands, 5 for files */
export function page(
  name: string,
  section: 1 | 5,
  version: string,
  summary: string,
  parts: readonly string[],
): string {
  return [
    `.TH ${literal(name.toUpperCase())} ${section} "" "Terrace ${literal(version)}" "Terrace"`,
    // Hyphens within the names of options and files mislead, and lines that fill a column have wide gaps.
    '.nh',
    '.ad l',
    heading('Name'),
    `${literal(name)} \\- ${prose(summary)}`,
    ...parts,
    '',
  ].join('\n');
}

export const heading = (text: string): string => `.SH ${literal(text.toUpperCase())}`;
export const subheading = (text: string): string => `.SS ${literal(text)}`;
export const paragraph = (text: string): string => `.PP\n${prose(text)}`;
/** @param term in roff */
export const item = (term: string, text: string): string => `.TP\n${term}\n${prose(text)}`;
/** Lines that are not filled. */
export const example = (text: string): string => `.PP\n.nf\n.RS 4\n${prose(text)}\n.RE\n.fi`;

/** As the beginning of a sentence, with its end. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
