import type { Configuration } from '#proto/document/configuration.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import type { Parked } from '#proto/sync/outgoing.ts';
import { pauseText } from '#proto/sync/pause.ts';
import { formatClock, formatDuration, plural, shortDigest } from '../terminal/figures.ts';
import { rateText } from './rate-text.ts';
import { savingsText } from './sync/savings-text.ts';
import { syncText } from './sync-text.ts';

/**
 * What the command prints for people, as text made of messages and events. A command formats with this folder and
 * prints with terminal/.
 *
 * `terrace status` prints the layer (layer-text.ts), what needs a person (problem-text.ts), the link and the changes
 * that wait to be pushed (this file), how the layer stands against its parent (sync-text.ts), what crosses the link
 * (rate-text.ts) and what deltas save of it (sync/savings-text.ts), the syncers (syncer-text.ts), the layers below
 * (below-text.ts), exchanges of archives (exchange-text.ts) and the webhooks (webhook-text.ts); `terrace up` ends its
 * start with welcome.ts. image-progress.ts follows a running pass, which progress-lines.ts and progress.ts show;
 * event-text.ts one event per line, in the colour of event-tone.ts, and replay-state.ts derives the state of a transfer
 * from its events. token-text.ts and child-text.ts are of the commands of these names.
 */

/** Max parked changes listed one by one. */
const MAX_PARKED = 10;

/** One line for each thing, the most important first. Empty while the configuration is not known. */
export function linkText(layer: LayerStatus, now: number): string {
  const { configuration, link, coordinator, sync } = layer;
  if (!configuration) return '';
  if (!configuration.parent)
    return configuration.exchanges?.some(({ side }) => side === 'child') ? '' : 'No parent.';
  const { parent, repositories, schedule } = configuration;
  const bandwidth = rateText(layer);
  const ago = (instant: number | undefined) => (instant ? `${formatDuration(now - instant)} ago` : 'never');
  return [
    `Parent ${parent.url}${parent.username ? ` as ${parent.username}` : ''}: ${stateText(layer)}`,
    ...(sync ? [`  ${syncText(sync, now)}`] : []),
    `  last successful pass ${ago(link?.lastSync)}${passes(link, now)}`,
    `  schedule ${schedule}`,
    ...when(link, now),
    ...(bandwidth ? [`  ${bandwidth}`] : []),
    ...savingsText(layer, now).map((line) => `  ${line}`),
    `  coordinator ${coordinator ?? 'none'}`,
    `  repositories ${repositories.map(selection).join(', ') || 'none'}`,
    ...(link?.leftOut ? leftOutLines(link.leftOut).map((line) => `  ${line}`) : []),
    ...outgoing(layer, now),
  ].join('\n');
}

/** One line for each of the first things that are left out, with its remedy. */
export function leftOutLines({ first, referrers, children, tags = 0 }: LeftOutSummary): string[] {
  const lines = first.slice(0, MAX_PARKED).map(({ repository, tag = '', kind, reason, code }) => {
    if (!tag) return `left out: ${LEFT_OUT_KIND[kind]} of ${repository}: ${reason} (${code})`;
    const isDigest = tag.includes(':');
    const name = isDigest ? `${repository}@${shortDigest(tag)}` : `${repository}:${tag}`;
    return `left out: ${LEFT_OUT_KIND[kind]} of ${name}: ${reason} (${code})`;
  });
  const more = referrers + children + tags - lines.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

const LEFT_OUT_KIND = {
  referrer: 'a referrer',
  referrers: 'the referrers',
  child: 'an image of the index',
  tag: 'the manifest',
};

/** Many passes change nothing: they are counted here and reported nowhere else. */
function passes(link: LinkStatus | undefined, now: number): string {
  if (!link?.passes) return '';
  const { count, announced } = link.passes;
  const last =
    announced === undefined
      ? 'none with changes'
      : `the last one with changes ${formatDuration(now - announced)} ago`;
  return `; ${plural(count, 'pass', 'passes')}, ${last}`;
}

function stateText({ link, syncers, storage }: LayerStatus): string {
  // Storage decides: a syncer that does not answer has not reported it.
  if (storage?.paused && !link?.paused) return `Offline: ${pauseText(storage.paused)}`;
  const state = `${link?.state ?? 'not tried yet'}${link?.detail ? `: ${link.detail}` : ''}`;
  // The stored state is valid only while a syncer runs that would update it.
  return syncers.length > 0 ? state : `unknown, because no syncer answers (last: ${state})`;
}

function when(link: LinkStatus | undefined, now: number): string[] {
  const at = (instant: number) => `${formatClock(instant)} (in ${formatDuration(instant - now)})`;
  return [
    ...(link?.window
      ? [`  window ${link.window.open ? 'open' : 'closed'} until ${at(link.window.until)}`]
      : []),
    ...(link?.next ? [`  next pass ${at(link.next)}`] : []),
  ];
}

/** `app/*`, with the filters that restrict what is pulled of it, if any. */
function selection({
  name,
  from,
  tags,
  platforms,
  referrers,
}: Configuration['repositories'][number]): string {
  const { match, regex, semver, latest } = tags ?? {};
  const parts = [
    ...(from ? [`from ${from}`] : []),
    ...(match ? [`tags ${match.join(' or ')}`] : []),
    ...(regex ? [`tags /${regex}/`] : []),
    ...(semver ? [`versions ${semver}`] : []),
    ...(latest ? [`the latest ${latest}`] : []),
    ...(platforms ? [platforms.join(' and ')] : []),
    ...(referrers === true ? [] : [referrers ? `referrers ${referrers.join(' and ')}` : 'no referrers']),
  ];
  return parts.length > 0 ? `${name} (${parts.join('; ')})` : name;
}

/** Only for ReadWrite layers, as others push nothing. */
function outgoing({ storage, configuration, parked: refusals = [] }: LayerStatus, now: number): string[] {
  if (configuration?.mode !== 'ReadWrite') return [];
  const others = refusals.filter((one) => !isDenied(one));
  const nothing = { unsent: 0, withdrawn: 0, parked: 0 };
  const { unsent, withdrawn, parked: refused } = storage?.outgoing ?? nothing;
  const parts = [
    ...(unsent ? [`${plural(unsent, 'manifest')} to push`] : []),
    ...(withdrawn ? [`${plural(withdrawn, 'manifest')} to withdraw`] : []),
    ...(refused ? [`${plural(refused, 'change')} refused by the parent`] : []),
  ];
  return [
    ...(parts.length > 0 ? [`  pending: ${parts.join(', ')}`] : []),
    ...denied(refusals.filter(isDenied), now),
    ...others.slice(0, MAX_PARKED).map((one) => parked(one, now)),
    ...more(others.length),
  ];
}

const isDenied = ({ code }: Parked): boolean => code === 'denied';

/** Changes that the login may not push have one cause. */
function denied(refusals: Parked[], now: number): string[] {
  const [first] = refusals;
  if (!first) return [];
  const names = [...new Set(refusals.map(({ repository }) => repository))];
  const shown = names.slice(0, MAX_PARKED).join(', ');
  const hidden = names.length > MAX_PARKED ? ', …' : '';
  const next = refusals.reduce((earliest, { retry }) => Math.min(earliest, retry), first.retry);
  const when = next > now ? `in ${formatDuration(next - now)}` : 'with the next pass';
  return [
    `    ${plural(refusals.length, 'change')} of ${shown}${hidden}: ${first.reason} (denied); next attempt ${when}`,
  ];
}

function parked(
  { repository, reference, digest, code, reason, since, attempts, retry }: Parked,
  now: number,
) {
  const isDigest = reference.includes(':');
  const name = isDigest ? `${repository}@${shortDigest(reference)}` : `${repository}:${reference}`;
  const next = retry > now ? `in ${formatDuration(retry - now)}` : 'with the next pass';
  const what = digest ? '' : ' (its deletion)';
  return `    ${name}${what}: ${reason} (${code}); refused ${plural(attempts, 'time')}, first ${formatDuration(now - since)} ago; next attempt ${next}`;
}

const more = (count: number): string[] =>
  count > MAX_PARKED
    ? [`    … and ${count - MAX_PARKED} more; --json has all, terrace retry tries them now`]
    : [];
