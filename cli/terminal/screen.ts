import { safeLines } from './terminal.ts';

/** Control sequences of ECMA-48 and xterm. */
const CSI = '\u001b[';
const ENTER = `${CSI}?1049h${CSI}?25l`;
const LEAVE = `${CSI}?25h${CSI}?1049l`;
const HOME = `${CSI}H`;
const END_OF_LINE = `${CSI}K`;
const END_OF_SCREEN = `${CSI}J`;

/** What a screen is drawn on. */
export type ScreenStream = Pick<NodeJS.WriteStream, 'write' | 'rows'>;

/**
 * The alternate screen of a terminal, redrawn in place: each frame is one write that overwrites the one before, so it
 * does not flicker. Disposal restores what the terminal showed.
 */
export class Screen implements Disposable {
  readonly #stream: ScreenStream;

  constructor(stream: ScreenStream = process.stdout) {
    this.#stream = stream;
    stream.write(ENTER);
  }

  /** Lines that do not fit are counted. @param paint adds colours to the lines once they are safe */
  draw(text: string, paint: (safe: string) => string = (safe) => safe): void {
    const lines = safeLines(text).trimEnd().split('\n');
    const rows = this.#stream.rows || 24;
    const hidden = lines.length - (rows - 1);
    const shown =
      hidden > 0
        ? [...lines.slice(0, rows - 2), `… and ${hidden + 1} more lines: make the window larger`]
        : lines;
    const painted = paint(shown.join('\n')).split('\n');
    this.#stream.write(`${HOME}${painted.map((line) => `${line}${END_OF_LINE}\n`).join('')}${END_OF_SCREEN}`);
  }

  [Symbol.dispose](): void {
    this.#stream.write(LEAVE);
  }
}
