import { SingleBar } from 'cli-progress';
import { type BackupProgress, progressText } from './backup-status-text.ts';

/** A bar on stderr, if that is a terminal; without one, nothing is shown. */
export class BackupBar implements Disposable {
  readonly #bar: SingleBar | undefined;
  readonly #what: string;

  /** @param what such as `checked` */
  constructor(what: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#what = what;
    if (!stream.isTTY) return;
    this.#bar = new SingleBar({
      format: '{bar} {text}',
      barsize: 20,
      hideCursor: true,
      clearOnComplete: true,
      stream,
      fps: 5,
    });
    this.#bar.start(1, 0, { text: '' });
  }

  show(progress: BackupProgress): void {
    this.#bar?.setTotal(Math.max(1, progress.ofBytes));
    this.#bar?.update(progress.bytes, { text: progressText(progress, this.#what) });
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}
