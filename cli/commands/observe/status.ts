import { type Command, InvalidArgumentError } from 'commander';
import { type LayerStatus, layerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import type { ServiceStatus } from '#proto/status/status.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { connectOperator } from '../../connection/connect.ts';
import { watchStatus } from '../../connection/watch-status.ts';
import { dataOption } from '../../data/data-option.ts';
import { type ColourWhen, colourOption, paintStates, usesColour } from '../../terminal/colour.ts';
import { formatBytes, formatDuration, plural, shortDigest } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { outputEnd } from '../../terminal/output-end.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { Screen } from '../../terminal/screen.ts';
import { table } from '../../terminal/table.ts';
import { print, printJson, singleLines } from '../../terminal/terminal.ts';
import { backupStatusText } from '../../text/backup/backup-status-text.ts';
import { restoredText } from '../../text/backup/restored-text.ts';
import { belowText } from '../../text/below-text.ts';
import { exchangeText } from '../../text/exchange-text.ts';
import { forwardingText } from '../../text/forwarding-text.ts';
import type { PassProgress } from '../../text/image-progress.ts';
import { layerText } from '../../text/layer-text.ts';
import { linkText } from '../../text/link-text.ts';
import { problemText } from '../../text/problem-text.ts';
import { progressLines } from '../../text/progress-lines.ts';
import { keptDeltasText } from '../../text/sync/savings-text.ts';
import { syncerText } from '../../text/syncer-text.ts';
import { scrubProgressText } from '../../text/upkeep/scrub-text.ts';
import { webhookText } from '../../text/webhook-text.ts';
import { noAccounts } from '../../text/welcome.ts';

/** Max ingests (uploads and transfers) listed one by one. */
const MAX_INGESTS = 20;
/** Interval of `--watch` if none is given, in ms. */
const WATCH_MS = 2_000;

type Options = { data: string; json?: boolean; watch?: number | true; color: ColourWhen };

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('show the status of a running layer')
    .addOption(dataOption())
    .option(
      '-w, --watch [seconds]',
      'show it again and again, every 2 s or as given, until Ctrl-C',
      secondsOf,
    )
    .option('--json', 'as JSON; with --watch, one object per line')
    .addOption(colourOption())
    .action(async ({ data, json, watch, color }: Options) => {
      const paint = usesColour(color) ? paintStates : undefined;
      if (watch !== undefined) {
        await showStatusRepeatedly(data, watch === true ? WATCH_MS : watch, { json: json === true, paint });
        return;
      }
      await using bus = await connectOperator(data);
      const layer = await layerStatus(bus);
      if (json) printJson(JSON.stringify(withProblems(layer), null, 2));
      else print(pageOf(layer, terminalWidth()), paint);
    });
}

/** @throws InvalidArgumentError */
export function secondsOf(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.5 && seconds <= 3_600) return seconds * 1_000;
  throw new InvalidArgumentError('write seconds from 0.5 to 3600');
}

/** Draws the status on a screen of its own, or prints it again and again where no terminal shows it. */
async function showStatusRepeatedly(
  data: string,
  intervalMs: number,
  { json, paint }: { json: boolean; paint: ((safe: string) => string) | undefined },
): Promise<void> {
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => end.abort());
  const signal = AbortSignal.any([end.signal, outputEnd]);
  using screen = json || !process.stdout.isTTY ? undefined : new Screen();
  for await (const seen of watchStatus(data, intervalMs, signal)) {
    const at = new Date().toISOString().slice(0, 19).replace('T', ' ');
    const head = `${at} UTC, every ${intervalMs / 1_000} s; Ctrl-C ends`;
    const isError = seen instanceof Refusal;
    const text = isError ? seen.message : pageOf(seen.status, terminalWidth(), seen.progress);
    const object = isError
      ? { error: seen.message }
      : { ...withProblems(seen.status), progress: seen.progress };
    if (json) printJson(JSON.stringify(object));
    else if (screen) screen.draw(wrapLines(`${head}\n\n${text}`, terminalWidth()), paint);
    else print(`${at} UTC\n${text}\n`, paint);
  }
}

const withProblems = (layer: LayerStatus) => ({ ...layer, problems: problemsOf(layer) });

/** The status for people, fitted to a width. */
const pageOf = (layer: LayerStatus, width: number, progress?: PassProgress): string =>
  wrapLines(describeStatus(layer, Date.now(), width, progress), width);

/** The status for people: sections of text. @param width to which tables are fitted; lines may be longer */
export function describeStatus(
  unsafe: LayerStatus,
  now: number,
  width?: number,
  progress?: PassProgress,
): string {
  const layer = singleLines(unsafe);
  const sections = [
    layerText(layer, now),
    problemText(layer, now, width),
    linkText(layer, now),
    exchangeText(layer, now),
    progress ? progressLines(progress).join('\n') : '',
    source(layer, now),
    storage(layer, now),
    belowText(layer, now, width),
    webhookText(layer, now, width),
    syncerText(layer, now),
    services(layer, now, width),
  ];
  return sections.filter(Boolean).join('\n\n');
}

/** The source of a configuration that is received over a connection. */
function source({ bridge, configuration }: LayerStatus, now: number): string {
  if (!bridge?.session) return '';
  const { source, version, session } = bridge;
  const { connected, since, detail } = session;
  const reached = connected ? 'connected' : `not connected${detail ? ` (${detail})` : ''}`;
  const known = version === undefined ? 'none received yet' : `version ${version}`;
  const last = !connected && configuration ? '; its last configuration stays in force' : '';
  return `Configured by ${source}: ${known}; ${reached} for ${formatDuration(now - since)}${last}`;
}

function storage(layer: LayerStatus, now: number): string {
  const { storage: held, services: running } = layer;
  if (!held) return 'Storage does not answer.';
  const lines = held.ingests.slice(0, MAX_INGESTS).map((ingest) => {
    const by = ingest.account === undefined ? '' : ` of ${ingest.account}`;
    const what = ingest.digest ? shortDigest(ingest.digest) : `${ingest.id}${by}`;
    const size = ingest.size === undefined ? '' : ` of ${formatBytes(ingest.size)}`;
    const holder = ingest.holder ? `, written by ${ingest.holder}` : '';
    return `  ${ingest.purpose} ${what}${size}${holder}, touched ${formatDuration(now - ingest.touched)} ago`;
  });
  const counts = [
    plural(held.repositories, 'repository', 'repositories'),
    plural(held.tags, 'tag'),
    plural(held.blobs, 'blob'),
    formatBytes(held.bytes),
  ].join(', ');
  return [
    `Holds ${counts}; ${plural(held.ingests.length, 'ingest')} in progress`,
    ...lines,
    ...more(held.ingests.length),
    space(held),
    ...keptDeltasText(layer),
    accountsText(held, running.find(({ open }) => open !== undefined)?.open),
    ...forwardingText(held, now),
    ...backupStatusText(held, now),
    ...(held.scrub ? [`Scrub: ${scrubProgressText(held.scrub)}`] : []),
    ...restoredText(held, now),
  ].join('\n');
}

const more = (count: number): string[] =>
  count > MAX_INGESTS ? [`  … and ${count - MAX_INGESTS} more; --json has all`] : [];

function space({ space: { free, reserve, inodes, low } }: StorageStatus): string {
  // Inodes only while space is low: people think in bytes.
  const files = inodes && low ? `; ${plural(inodes.free, 'inode')} free, reserve ${inodes.reserve}` : '';
  return `Free: ${formatBytes(free)}; reserve ${formatBytes(reserve)}${files}`;
}

/** @param open whether the gateway admits everyone without a token */
function accountsText({ tokens, closed }: StorageStatus, open: boolean | undefined): string {
  if (tokens > 0) return `Clients log in: ${plural(tokens, 'token')}`;
  // These are problems, which are listed above.
  return closed || open ? 'No accounts' : noAccounts({ closed, open });
}

function services({ services: running }: LayerStatus, now: number, width?: number): string {
  // The services of a compact layer share one process, and so its memory.
  const isFirst = ({ pid, host }: ServiceStatus, index: number) =>
    running.findIndex((other) => other.pid === pid && other.host === host) === index;
  const rows = running.map((status, index) => [
    status.service,
    String(status.pid),
    isFirst(status, index) ? formatBytes(status.memory) : 'shared',
    formatDuration(now - status.started),
    status.instance,
  ]);
  return table([['SERVICE', 'PID', 'MEMORY', 'UP', 'INSTANCE'], ...rows], width);
}
