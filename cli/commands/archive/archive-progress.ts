import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { archiveProgress, stopArchive } from '#proto/archive/archives.ts';
import type { Operation } from '../../layer/with-storage.ts';
import { formatBytes } from '../../terminal/figures.ts';
import { printError } from '../../terminal/terminal.ts';

/** How often the progress is read, and how often it is printed without a terminal, in ms. */
const POLL_MS = 500;
const LINE_MS = 10_000;

/**
 * Shows the progress of an export or import on stderr while `work` runs. An interrupt stops it in storage as well.
 */
export async function withProgress<T>({ bus, signal }: Operation, work: () => Promise<T>): Promise<T> {
  const end = new AbortController();
  const stop = () => void bus.call(stopArchive, {}).catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  const shown = show(bus, end.signal);
  try {
    return await work();
  } finally {
    signal.removeEventListener('abort', stop);
    end.abort();
    await shown;
  }
}

async function show(bus: Operation['bus'], signal: AbortSignal): Promise<void> {
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: '{step} [{bar}] {figures}',
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      })
    : undefined;
  let started = false;
  let printed = performance.now();
  while (!signal.aborted) {
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    const { running } = await bus.call(archiveProgress, {}).catch(() => ({ running: undefined }));
    if (!running || running.total === 0) continue;
    const { step, done, total } = running;
    const isCount = step === 'storing manifests';
    const figures = isCount ? `${done} of ${total}` : `${formatBytes(done)} of ${formatBytes(total)}`;
    if (bar) {
      if (!started) bar.start(total, done, { step, figures });
      started = true;
      bar.setTotal(total);
      bar.update(done, { step, figures });
    } else if (performance.now() - printed >= LINE_MS) {
      printed = performance.now();
      printError(`${step}: ${figures}`);
    }
  }
  if (started) bar?.stop();
}
