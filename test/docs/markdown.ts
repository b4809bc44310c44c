/** Markdown that is readable as source: padded tables, wrapped lists. Pure. */

const WIDTH = 116;

export const code = (text: string): string => `\`${text}\``;

export const codes = (texts: readonly string[]): string => texts.map(code).join(', ');

/** The columns are padded, apart from the last one. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, at) => Math.max(3, ...cells.map((row) => row[at]?.length ?? 0)));
  const last = head.length - 1;
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, at) => (at === last ? cell : cell.padEnd(widths[at] as number))).join(' | ')} |`;
  const [first = [], ...others] = cells;
  const rule = widths.map((width, at) => '-'.repeat(at === last ? 3 : width));
  return [line(first), `| ${rule.join(' | ')} |`, ...others.map(line)].join('\n');
}

function wrapped(text: string, begin: string, indent: string): string {
  const lines: string[] = [];
  let line = begin;
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join('\n');
}

/** An entry of a list. */
export const item = (text: string): string => wrapped(text, '- ', '  ');

/** Text as a sentence: with a capital, unless it begins with code, and a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  return `${trimmed[0]?.toUpperCase()}${trimmed.slice(1)}${/[.!?:]$/.test(trimmed) ? '' : '.'}`;
}

/** Text in which words with characters of Markdown are marked as code. */
export const plain = (text: string): string => text.replace(/[^\s,;:()]*[*_<][^\s,;:()]*/g, code);

const ORIGIN = 'This page is generated from the code by `npm run docs`. A test says when it is stale.';

/** A page from its parts, with a blank line between them. Paragraphs are wrapped. */
export function page(title: string, ...parts: readonly string[]): string {
  const blocks = [`# ${title}`, ...parts, ORIGIN].flatMap((part) => part.split('\n\n')).filter(Boolean);
  return `${blocks.map((block) => (/^(?:[|#]|- |```)/.test(block) ? block : wrapped(block, '', ''))).join('\n\n')}\n`;
}
