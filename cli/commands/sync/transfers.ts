import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Bus } from '#proto/bus/bus.ts';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { transferItems, waitingTransfers } from '#proto/overview/transfers.ts';
import { connectOperator } from '../../connection/connect.ts';
import { dataOption } from '../../data/data-option.ts';
import { refusalOf } from '../../terminal/failure.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { outputEnd } from '../../terminal/output-end.ts';
import { Screen } from '../../terminal/screen.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { type ShownTransfers, transfersText } from '../../text/sync/transfers-text.ts';
import { secondsOf } from '../observe/status.ts';

/** Interval of `--watch` if none is given, in ms. */
const WATCH_MS = 1_000;

type Options = { data: string; watch?: number | true; json?: boolean };

export function addTransfersCommand(program: Command): void {
  program
    .command('transfers')
    .description('show what crosses the link now: each blob, how far it is, and what waits')
    .addOption(dataOption())
    .option(
      '-w, --watch [seconds]',
      'show it again and again, each second or as given, until Ctrl-C',
      secondsOf,
    )
    .option('--json', 'as JSON; with --watch, one object per line')
    .action(async ({ data, watch, json = false }: Options) => {
      await using bus = await connectOperator(data);
      if (watch !== undefined) {
        await watchTransfers(bus, watch === true ? WATCH_MS : watch, json);
        return;
      }
      const transfers = await readTransfers(bus);
      if (json) printJson(JSON.stringify(transfers, null, 2));
      else print(transfersText(transfers, Date.now(), terminalWidth()));
    });
}

async function readTransfers(bus: Bus): Promise<ShownTransfers> {
  const { syncers } = await layerStatus(bus, { withoutParked: true });
  const waiting = await waitingTransfers(bus, syncers);
  const sum = (direction: 'down' | 'up') =>
    syncers.reduce((total, { rate }) => total + (rate?.[direction] ?? 0), 0);
  return {
    items: transferItems(syncers),
    ...(waiting && { waiting }),
    rate: { down: sum('down'), up: sum('up') },
  };
}

/** Until Ctrl-C; a layer that is away for a while is shown as that. */
async function watchTransfers(bus: Bus, intervalMs: number, json: boolean): Promise<void> {
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => end.abort());
  const signal = AbortSignal.any([end.signal, outputEnd]);
  using screen = json || !process.stdout.isTTY ? undefined : new Screen();
  while (!signal.aborted) {
    const seen = await readTransfers(bus).catch(refusalOf);
    const isError = seen instanceof Error;
    const text = isError ? seen.message : transfersText(seen, Date.now(), terminalWidth());
    if (json) printJson(JSON.stringify(isError ? { error: seen.message } : seen));
    else if (screen) screen.draw(`Every ${intervalMs / 1_000} s; Ctrl-C ends\n\n${text}`);
    else print(`${new Date().toISOString()}\n${text}\n`);
    await sleep(intervalMs, undefined, { signal }).catch(() => {});
  }
}
