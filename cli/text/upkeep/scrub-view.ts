import { SingleBar } from 'cli-progress';
import type { ScrubProgress } from '#proto/content/maintenance.ts';
import { printError, printJson } from '../../terminal/terminal.ts';
import { scrubProgressText } from './scrub-text.ts';

/** How often a view without a terminal prints the progress, in ms. */
const LINE_MS = 10_000;
const JSON_MS = 1_000;

/** Shows the progress of a scrub: a bar on a terminal, a line each ten seconds elsewhere, an object each second. */
export class ScrubView implements Disposable {
  readonly #bar: SingleBar | undefined;
  readonly #json: boolean;
  #printedAt = performance.now();

  constructor(json: boolean, stream: NodeJS.WriteStream = process.stderr) {
    this.#json = json;
    if (json || !stream.isTTY) return;
    this.#bar = new SingleBar({
      format: 'Scrub {bar} {text}',
      barsize: 14,
      hideCursor: true,
      clearOnComplete: true,
      stream,
      fps: 5,
    });
    this.#bar.start(1, 0, { text: '' });
  }

  show(progress: ScrubProgress): void {
    const text = scrubProgressText(progress);
    this.#bar?.setTotal(Math.max(1, progress.total));
    this.#bar?.update(progress.bytes, { text });
    const now = performance.now();
    if (this.#bar || now - this.#printedAt < (this.#json ? JSON_MS : LINE_MS)) return;
    this.#printedAt = now;
    if (this.#json) printJson(JSON.stringify({ type: 'progress', ...progress }));
    else printError(`Scrub: ${text}`);
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}
