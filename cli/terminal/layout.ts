/** Lines that fit into the width of a terminal. Pure, apart from `terminalWidth`. */

/** Width of output that no terminal shows, in characters, and of a terminal that does not say. */
const DEFAULT_WIDTH = 80;
const MIN_WIDTH = 40;
/** Columns by which the rest of a long line is indented more than its beginning. */
const HANGING = 4;
/** Where a word that is wider than its line may be broken: after these characters. */
const BREAKS = /(?<=[/:,.;@=_-])/;

/** Columns for a person: those of the terminal, else of the variable `COLUMNS` (POSIX), else 80. */
export function terminalWidth(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'> = process.stdout,
  env: NodeJS.ProcessEnv = process.env,
): number {
  const columns = (stream.isTTY && stream.columns) || Number(env.COLUMNS) || DEFAULT_WIDTH;
  return Math.max(MIN_WIDTH, columns);
}

/** Wraps lines that are too long by words; the rest of a line is indented more than its beginning. */
export function wrapLines(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => {
      if (line.length <= width) return [line];
      const indent = line.length - line.trimStart().length;
      const rest = Math.min(indent + HANGING, Math.floor(width / 2));
      const [first = '', ...others] = wrapWords(line.trim(), width - indent, width - rest);
      return [' '.repeat(indent) + first, ...others.map((one) => ' '.repeat(rest) + one)];
    })
    .join('\n');
}

/** The text in lines of at most `width` columns, the first of at most `first`. Words that are too wide are broken. */
export function wrapWords(text: string, first: number, width = first): string[] {
  const lines: string[] = [];
  let line = '';
  const limit = () => (lines.length === 0 ? first : width);
  const add = (piece: string, gap: string) => {
    const longer = line ? `${line}${gap}${piece}` : piece;
    if (longer.length <= limit()) {
      line = longer;
      return;
    }
    if (line) lines.push(line);
    line = piece;
    for (; line.length > limit(); line = line.slice(limit())) lines.push(line.slice(0, limit()));
  };
  for (const word of text.split(' ')) {
    if (word.length <= width) add(word, ' ');
    else for (const [index, part] of word.split(BREAKS).entries()) add(part, index === 0 ? ' ' : '');
  }
  return [...lines, ...(line || lines.length === 0 ? [line] : [])];
}
