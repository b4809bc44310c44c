import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type Scrubbed, scrub, scrubProgress } from '#proto/content/maintenance.ts';
import { bytesOf } from '#proto/document/quantities.ts';
import { dataOption } from '../../data/data-option.ts';
import { type Operation, withStorage } from '../../layer/with-storage.ts';
import { formatClock } from '../../terminal/figures.ts';
import { EXIT_INTERRUPTED, EXIT_USAGE, Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { describeScrub } from '../../text/upkeep/scrub-text.ts';
import { ScrubView } from '../../text/upkeep/scrub-view.ts';

/** Interval at which the progress is read, in ms. */
const POLL_MS = 500;

type Options = { data: string; rate?: string; json?: boolean };

export function addScrubCommand(program: Command): void {
  program
    .command('scrub')
    .description(
      'read and hash all content, and show the progress; damaged blobs are quarantined, to be fetched again. Ctrl-C leaves the scrub of a running layer running; a second scrub joins it',
    )
    .addOption(dataOption())
    .option('--rate <bytes>', 'max bytes per second, such as 20MB (default: from the configuration)')
    .option('--json', 'the progress each second, and the result, as one JSON object per line')
    .action(async ({ data, json = false, rate: text }: Options) => {
      const rate = text === undefined ? undefined : bytesOf(text);
      if (text !== undefined && (rate === undefined || rate < 1)) {
        throw new Refusal(`--rate "${text}" is not valid: write bytes per second, such as 20MB`, EXIT_USAGE);
      }
      const result = await withStorage(data, (operation) => scrubAll(operation, rate, json));
      if (json) printJson(JSON.stringify({ type: 'result', ...result }));
      else print(describeScrub(result));
      if (result.damaged.length > 0 || result.metadata) process.exitCode = 1;
    });
}

async function scrubAll(
  { bus, signal, alone }: Operation,
  rate: number | undefined,
  json: boolean,
): Promise<Scrubbed> {
  const { running } = await bus.call(scrubProgress, {}, { signal });
  if (running) {
    const own = rate === undefined ? '' : ', at its own rate';
    printError(`A scrub runs since ${formatClock(running.started, Date.now())}: this shows it${own}.`);
  }
  const end = new AbortController();
  using view = new ScrubView(json);
  const show = async () => {
    while (!end.signal.aborted) {
      const progress = await bus.call(scrubProgress, {}, { signal: end.signal });
      if (progress.running) view.show(progress.running);
      await sleep(POLL_MS, undefined, { signal: end.signal });
    }
  };
  show().catch(() => {});
  try {
    const query = { join: true, ...(rate !== undefined && { rate }) };
    return await bus.call(scrub, query, { signal, patience: 15_000 });
  } catch (error) {
    if (!signal.aborted) throw error;
    const what = alone
      ? 'interrupted: the scrub has ended, as no layer runs here'
      : 'interrupted: the scrub continues in the layer; terrace scrub shows it again, and terrace status';
    throw new Refusal(what, EXIT_INTERRUPTED);
  } finally {
    end.abort();
  }
}
