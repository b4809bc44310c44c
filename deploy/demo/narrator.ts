import { type Tone, toned, usesColour } from '../../cli/terminal/colour.ts';
import { terminalWidth, wrapWords } from '../../cli/terminal/layout.ts';
import { print } from '../../cli/terminal/terminal.ts';

/** What the demo prints: numbered steps, and lines with the time since its start. */

const INDENT = ' '.repeat(3);
/** Columns of the time and the space after it. */
const TIME_COLUMNS = 7;

export class Narrator {
  readonly #started = performance.now();
  readonly #colour = usesColour('auto');
  readonly #width = Math.min(terminalWidth(), 100);
  readonly #steps: number;
  #step = 0;

  constructor(steps: number) {
    this.#steps = steps;
  }

  /** Begins a step. */
  step(title: string): void {
    this.#step += 1;
    this.line('');
    this.line(`${this.#step}/${this.#steps} ${title}`, 'strong');
  }

  /** A line with the time since the start. */
  say(text: string, tone?: Tone): void {
    const seconds = Math.floor((performance.now() - this.#started) / 1_000);
    const time = `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
    const lines = wrapWords(text, this.#width - INDENT.length - TIME_COLUMNS);
    for (const [index, one] of lines.entries()) {
      this.line(`${INDENT}${(index === 0 ? time : '').padEnd(TIME_COLUMNS)}${one}`, tone);
    }
  }

  line(text: string, tone?: Tone): void {
    print(text, tone && this.#colour && text ? (safe) => `${toned(tone, safe.trimEnd())}\n` : undefined);
  }
}
