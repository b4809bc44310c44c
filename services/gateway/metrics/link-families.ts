import { PASS_BOUNDS_S, type SyncMetrics } from '#proto/status/process-metrics.ts';
import {
  byWord,
  counter,
  type Family,
  flag,
  gauge,
  histogram,
  oneOf,
  type Sample,
  seconds,
} from './family.ts';
import type { Figures } from './figures.ts';

/** The link to the parent, passes and transfers. */

const directions = ['down', 'up'] as const;
const states = ['Online', 'Syncing', 'Offline', 'Unhealthy', 'unknown'];

const hasParent = ({ status: { configuration } }: Figures) => configuration?.parent !== undefined;

/** The state is valid only while a syncer coordinates. */
const stateOf = ({ status: { link, coordinator } }: Figures) =>
  link && coordinator ? link.state : 'unknown';

const syncersOf = ({ processes }: Figures): { instance: string; sync: SyncMetrics }[] =>
  processes.flatMap(({ instance, sync }) => (sync ? [{ instance, sync }] : []));

/** Counts of each syncer, in each direction, by a word. */
const byDirection =
  (label: string, countsOf: (metrics: SyncMetrics['down']) => Record<string, number>) =>
  (figures: Figures): Sample[] =>
    syncersOf(figures).flatMap(({ instance, sync }) =>
      directions.flatMap((direction) =>
        byWord(label, countsOf(sync[direction]), { process: instance, direction }),
      ),
    );

/** Counts of the passes of each syncer, by a word. */
const ofPasses =
  (label: string, countsOf: (passes: SyncMetrics['passes']) => Record<string, number>) =>
  (figures: Figures): Sample[] =>
    syncersOf(figures).flatMap(({ instance, sync }) =>
      byWord(label, countsOf(sync.passes), { process: instance }),
    );

const linkFamilies: Family[] = [
  gauge(
    'link_up',
    '1 if the parent answered in the last pass, else 0; absent without a parent.',
    (figures) => (hasParent(figures) ? flag(!['Offline', 'unknown'].includes(stateOf(figures))) : undefined),
  ),
  gauge(
    'link_state',
    'State of the link: 1 for the one that holds. `Unhealthy`: the parent answers, and the last pass left work undone. `unknown`: no syncer coordinates.',
    (figures) => (hasParent(figures) ? oneOf('state', states, stateOf(figures)) : undefined),
    'state',
  ),
  gauge(
    'link_state_change_timestamp_seconds',
    'When the state of the link last changed, in seconds since 1970.',
    ({ status: { link } }) => seconds(link?.since),
  ),
  gauge(
    'link_live',
    '1 while the layer keeps a request open at its parent, so that changes arrive at once.',
    ({ status: { link } }) => link && flag(link.live === true),
  ),
  gauge(
    'link_window_open',
    '1 if the link may be used now; always 1 without a window.',
    ({ status: { link } }) => link && flag(link.window?.open ?? true),
  ),
  gauge(
    'link_window_change_timestamp_seconds',
    'When the window opens or closes next, in seconds since 1970; absent without a window.',
    ({ status: { link } }) => seconds(link?.window?.until),
  ),
  gauge(
    'link_bandwidth_limit_bytes_per_second',
    'Limit of the bandwidth that is in force now; absent if there is none.',
    ({ status: { syncers } }) => syncers.find(({ limit }) => limit !== undefined)?.limit,
  ),
  gauge(
    'link_rate_bytes_per_second',
    'Bytes of blobs a second that crossed the link in the last seconds.',
    ({ status: { syncers } }) =>
      directions.map((direction) => ({
        labels: { direction },
        value: syncers.reduce((sum, { rate }) => sum + (rate?.[direction] ?? 0), 0),
      })),
    'direction',
  ),
  gauge(
    'link_paused',
    '1 while the link is paused by an operator.',
    ({ status: { link } }) => link && flag(link.paused !== undefined),
  ),
];

const passFamilies: Family[] = [
  gauge(
    'pass_last_success_timestamp_seconds',
    'When the last pass ended that left nothing undone, in seconds since 1970.',
    ({ status: { link } }) => seconds(link?.lastSync),
  ),
  gauge(
    'pass_last_timestamp_seconds',
    'When the last pass ended, in seconds since 1970.',
    ({ status: { link } }) => seconds(link?.passes?.last),
  ),
  gauge(
    'pass_next_timestamp_seconds',
    'When the schedule begins the next pass, in seconds since 1970.',
    ({ status: { link } }) => seconds(link?.next),
  ),
  counter(
    'passes',
    'Passes by outcome. `ok`: nothing is left to do. `failed`: an action failed, or the parent did not answer. `ended`: the window closed, or the configuration changed. `parked`: the parent refuses changes. `incomplete`: content is left out that the parent does not provide.',
    ofPasses('outcome', ({ outcomes }) => outcomes),
    'process',
    'outcome',
  ),
  counter(
    'pass_actions',
    'Tags, and manifests without one, that passes pulled (`taken`), deleted here (`dropped`), pushed (`sent`), deleted at the parent (`withdrawn`), or failed to.',
    ofPasses('action', ({ actions }) => actions),
    'process',
    'action',
  ),
  counter(
    'pass_failures',
    'Failures and refused changes that the results of passes list, by fault; a result lists the first 20.',
    ofPasses('code', ({ failures }) => failures),
    'process',
    'code',
  ),
  histogram(
    'pass_duration_seconds',
    'Duration of passes.',
    PASS_BOUNDS_S,
    (figures) =>
      syncersOf(figures).map(({ instance, sync }) => ({
        labels: { process: instance },
        ...sync.passes.duration,
      })),
    'process',
  ),
];

const transferFamilies: Family[] = [
  gauge(
    'transfers_active',
    'Transfers that run or wait for their next attempt, at most 100 of each syncer.',
    ({ status: { syncers } }) =>
      directions.map((direction) => ({
        labels: { direction },
        value: syncers.flatMap(({ transfers }) => transfers).filter((one) => one.direction === direction)
          .length,
      })),
    'direction',
  ),
  counter(
    'transfers',
    'Transfers of blobs by outcome. `mounted`: the parent had the blob in another repository. `paused`: the window closed. `failed`: given up until the next pass.',
    byDirection('outcome', ({ outcomes }) => outcomes),
    'process',
    'direction',
    'outcome',
  ),
  counter(
    'transfer_failures',
    'Transfers that were given up until the next pass, by fault.',
    byDirection('code', ({ failures }) => failures),
    'process',
    'direction',
    'code',
  ),
  counter(
    'transfer_retries',
    'Attempts of transfers that failed and are repeated, by fault.',
    byDirection('code', ({ retries }) => retries),
    'process',
    'direction',
    'code',
  ),
  counter(
    'transfer_bytes',
    'Bytes of blobs. `new`: crossed the link for the first time. `again`: crossed it in vain, or repeatedly. `cut-through`: crossed it while the parent was receiving them. `reused`: left by an earlier transfer, so they did not cross. `mounted`: the parent had them.',
    byDirection('kind', ({ bytes }) => bytes),
    'process',
    'direction',
    'kind',
  ),
];

export const linkAndTransferFamilies: Family[] = [...linkFamilies, ...passFamilies, ...transferFamilies];
