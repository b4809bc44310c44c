import type { EventItem, ViewerGap } from '#proto/api/events.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { imageName, shortDigest } from '../format/names.ts';
import { bytesText, countText, plural } from '../format/quantities.ts';
import type { Tone } from './tone.ts';

/** An event in a line. Its fields are of any version, so each is checked before it is shown. */

type Data = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** `line/web:2`, as far as the event names it. */
function subjectOf(data: Data): string {
  const repository = text(data.repository);
  const reference = text(data.tag) || text(data.reference) || text(data.to) || text(data.digest);
  if (repository) return imageName(repository, reference);
  return reference.includes(':') ? shortDigest(reference) : reference;
}

export function eventText({ type, data }: Pick<EventItem, 'type' | 'data'>): string {
  const fields = (typeof data === 'object' && data !== null ? data : {}) as Data;
  const subject = subjectOf(fields);
  const reason = text(fields.reason) || text(fields.detail);
  const parts = [subject, ...factsOf(type, fields), reason].filter(Boolean);
  return parts.join(' · ');
}

function factsOf(type: string, data: Data): string[] {
  const account = text(data.account);
  const facts: string[] = [];
  if (type === 'link.changed') facts.push([text(data.from), text(data.state)].filter(Boolean).join(' → '));
  if (type === 'pass.finished') facts.push(passText(data));
  if (type === 'image.conflict') facts.push(`the loser is ${text(data.loserTag)}`);
  if (type === 'configuration.changed' && Array.isArray(data.fields))
    facts.push(data.fields.slice(0, 8).join(', '));
  if (type === 'configuration.refused' && Array.isArray(data.complaints))
    facts.push(text(data.complaints[0]));
  if (type === 'pass.started') facts.push(text(data.cause));
  if (data.direction === 'down' || data.direction === 'up') {
    facts.push(data.direction === 'down' ? 'from the parent' : 'to the parent');
  }
  facts.push(bytesOf(data));
  if (type === 'space.changed' && number(data.free) !== undefined)
    facts.push(`${bytesText(Number(data.free))} free`);
  if (account) facts.push(`by ${account}`);
  return facts.filter(Boolean);
}

/** `5 MB of 20 MB`; of what a delta made, `3 MB instead of 50 MB`. */
function bytesOf(data: Data): string {
  const size = number(data.size) ?? number(data.bytes);
  const target = number(data.toSize);
  if (target !== undefined) return insteadText(size, target);
  if (size === undefined) return '';
  const saved = number((data.saved as Data | null | undefined)?.bytes);
  if (saved !== undefined) return insteadText(Math.max(0, size - saved), size);
  const delta = number((data.delta as Data | null | undefined)?.size);
  const done = number(data.done);
  const moved = done === undefined ? '' : `${bytesText(done)} of `;
  return `${moved}${bytesText(delta ?? size)}${delta === undefined ? '' : ` for ${bytesText(size)}`}`;
}

const insteadText = (bytes: number | undefined, target: number): string =>
  `${bytes === undefined ? '' : `${bytesText(bytes)} instead of `}${bytesText(target)}`;

/** `2 pulled, 1 parked` */
export function passText(result: object): string {
  const data = result as Data;
  const words: [string, string][] = [
    ['taken', 'pulled'],
    ['sent', 'pushed'],
    ['dropped', 'deleted'],
    ['withdrawn', 'withdrawn'],
    ['failed', 'failed'],
    ['parked', 'parked'],
  ];
  const counts = words.flatMap(([field, word]) => {
    const count = number(data[field]) ?? 0;
    return count > 0 ? [`${countText(count)} ${word}`] : [];
  });
  return counts.join(', ') || 'no changes';
}

/** How a pass ended that left something undone. */
export function endText({ ended, failed }: Pick<PassResult, 'ended' | 'failed'>): string {
  if (ended === 'window') return 'Window closed';
  if (ended === 'configuration') return 'Configuration changed';
  if (ended === 'paused') return 'Link paused';
  return failed > 0 ? 'Failed in part' : 'Incomplete';
}

export function toneOfEvent({ type, data }: Pick<EventItem, 'type' | 'data'>): Tone {
  const fields = (data ?? {}) as Data;
  if (type === 'delta.failed') return fields.poor === true ? 'quiet' : 'warning';
  if (/\.(failed|damaged|refused|dropped|lost)$/.test(type) && type !== 'tag.dropped') return 'error';
  if (/\.(conflict|parked|incomplete|delayed|paused|mismatched)$/.test(type)) return 'warning';
  if (type === 'link.changed') {
    if (fields.code === 'window-closed') return 'quiet';
    if (fields.code === 'paused') return 'warning';
    if (fields.state === 'Offline' || fields.state === 'Unhealthy') return 'error';
    return fields.state === 'Syncing' ? 'busy' : 'good';
  }
  if (type === 'space.changed') return fields.low === true ? 'error' : 'good';
  return type === 'pass.finished' && fields.ok === false ? 'warning' : 'quiet';
}

const GAP_REASONS: Record<ViewerGap['reason'], string> = {
  expired: 'their retention ended',
  lost: 'the store of the bus was lost',
  unreadable: 'they can not be read',
  trimmed: 'they were deleted to leave room for other layers',
  rate: 'there are more in a second than anybody reads; a replay from here shows them',
  slow: 'this page did not read them fast enough; a replay from here shows them',
};

export function gapText({ from, to, reason, count }: ViewerGap): string {
  const cause = GAP_REASONS[reason] ?? reason;
  if (count !== undefined) return `${plural(count, 'event')} left out (${from} to ${to}): ${cause}`;
  if (to === undefined || to < from) return `Events missing from ${from} on: ${cause}`;
  return `${plural(to - from + 1, 'event')} missing (${to === from ? from : `${from} to ${to}`}): ${cause}`;
}
