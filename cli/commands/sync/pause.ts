import type { Command } from 'commander';
import type { Bus } from '#proto/bus/bus.ts';
import { spanOf } from '#proto/contract/time-text.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { durationOf } from '#proto/document/quantities.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import {
  endLinkPause,
  LinkPause,
  MAX_PAUSE_MS,
  MIN_PAUSE_MS,
  pauseText,
  setLinkPause,
} from '#proto/sync/pause.ts';
import { connectOperator } from '../../connection/connect.ts';
import { dataOption } from '../../data/data-option.ts';
import { formatDuration } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

/** Pause of the link to the parent, and its end, on request. */

/** How long the syncers may take to confirm, in ms; with the interval at which their state is read. */
const CONFIRM_MS = 5_000;
const READ_MS = 100;

type Options = { data: string; reason?: string; for?: string; json?: boolean };

export function addPauseCommand(program: Command): void {
  program
    .command('pause')
    .description('stop using the link to the parent until terrace resume, also over restarts')
    .addOption(dataOption())
    .option('--reason <text>', 'why, for terrace status and the audit log')
    .option('--for <duration>', 'end the pause by itself after this time, such as 2h, 30m or P1D')
    .option('--json', 'as JSON')
    .action(async ({ data, reason, for: text, json }: Options) => {
      const query = { ...reasonOf(reason), ...(text !== undefined && { forMs: forOf(text) }) };
      await using bus = await connectOperator(data);
      await mustHaveParent(bus);
      const { paused } = await bus.call(setLinkPause, query);
      const isConfirmed = await confirmed(bus, (link) => link?.since === paused.since);
      if (json) printJson(JSON.stringify({ paused, confirmed: isConfirmed }, null, 2));
      else print(wrapLines(described(paused), terminalWidth()));
      if (!isConfirmed) printError(UNCONFIRMED);
    });
}

export function addResumeCommand(program: Command): void {
  program
    .command('resume')
    .description('use the link to the parent again after terrace pause')
    .addOption(dataOption())
    .option('--json', 'as JSON')
    .action(async ({ data, json }: Options) => {
      await using bus = await connectOperator(data);
      const { ended } = await bus.call(endLinkPause, {});
      const isConfirmed = !ended || (await confirmed(bus, (link) => link === undefined));
      if (json) printJson(JSON.stringify({ ...(ended && { ended }), confirmed: isConfirmed }, null, 2));
      else if (!ended) print('The link was not paused.');
      else print(resumed(ended, Date.now()));
      if (!isConfirmed) printError(UNCONFIRMED);
    });
}

const UNCONFIRMED =
  'terrace: no syncer has confirmed it yet: it is in force as soon as one answers; see terrace status';

const resumed = ({ since }: LinkPause, now: number) =>
  `The link is used again after a pause of ${formatDuration(now - since)}.`;

function described(pause: LinkPause): string {
  const text = pauseText(pause);
  return [
    `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
    'Clients and layers below are served from what is here. To use the link again: terrace resume',
  ].join('\n');
}

function reasonOf(reason: string | undefined): { reason?: string } {
  if (!reason) return {};
  const { maxLength = 0 } = LinkPause.properties.reason;
  if (reason.length <= maxLength) return { reason };
  throw new Refusal(`--reason has ${reason.length} characters: write at most ${maxLength}`, 2);
}

/** @throws Refusal */
export function forOf(text: string): number {
  const ms = spanOf(text) ?? durationOf(text);
  if (ms === undefined) {
    throw new Refusal(`--for "${text}" is not valid: write a duration, such as 2h, 30m, 1d or PT90M`, 2);
  }
  if (ms < MIN_PAUSE_MS) throw new Refusal(`--for "${text}" is too short: write at least 1s`, 2);
  if (ms <= MAX_PAUSE_MS) return ms;
  throw new Refusal(`--for "${text}" is too long: write at most 366d, or leave it out`, 2);
}

async function mustHaveParent(bus: Bus): Promise<void> {
  const inForce = await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  if (inForce && !inForce.value.parent) {
    throw new Refusal('the layer has no parent: there is no link to pause');
  }
}

/** Whether the coordinator reports within `CONFIRM_MS` what is expected of the pause. */
async function confirmed(bus: Bus, isExpected: (pause: LinkPause | undefined) => boolean): Promise<boolean> {
  const end = performance.now() + CONFIRM_MS;
  do {
    const link = await bus.get(linkStatus, LINK_KEY).catch(() => undefined);
    if (link && isExpected(link.value.paused)) return true;
    await new Promise((resolve) => setTimeout(resolve, READ_MS));
  } while (performance.now() < end);
  return false;
}
