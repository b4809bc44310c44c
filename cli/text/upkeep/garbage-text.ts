import { type HeldContent, type HeldReason, heldReasons } from '#proto/content/held-content.ts';
import type { Garbage } from '#proto/content/maintenance.ts';
import { formatBytes, formatClock, formatDuration, plural } from '../../terminal/figures.ts';
import { wrapLines } from '../../terminal/layout.ts';
import { table } from '../../terminal/table.ts';

/** What a garbage collection did, and what it left. Pure. */

export function describeGarbage(garbage: Garbage): string {
  const parts = [
    garbage.blobs && plural(garbage.blobs, 'unreferenced blob'),
    garbage.links && `${plural(garbage.links, 'link')} of repositories to blobs`,
    garbage.ingests && plural(garbage.ingests, 'abandoned ingest'),
    garbage.repositories && plural(garbage.repositories, 'empty repository', 'empty repositories'),
    garbage.strays && plural(garbage.strays, 'stray file'),
  ].filter(Boolean);
  const took = `in ${formatDuration(garbage.ms)}`;
  if (parts.length === 0) return `Nothing to delete (checked ${took}).`;
  const what = `${parts.join(', ')}: ${formatBytes(garbage.bytes)}`;
  return garbage.dryRun ? `Would delete ${what} (checked ${took}).` : `Deleted ${what}, ${took}.`;
}

/** What is left, with the reason of each, and until when. @param width to which the table is fitted */
export function describeHeld(held: readonly HeldContent[], now: number, width: number): string {
  if (held.length === 0) return 'Nothing is held: the layer has no content.';
  const rows = held.map((one) => [
    one.reason,
    String(one.count),
    formatBytes(one.bytes),
    untilText(one, now),
  ]);
  const reasons = held.map((one) => `  ${one.reason}: ${whyText(one)}`);
  return [
    table([['HELD', 'PARTS', 'SIZE', 'UNTIL'], ...rows], width),
    '',
    wrapLines(reasons.join('\n'), width),
  ].join('\n');
}

/** A reason of a later version has no text here. */
const whyText = ({ reason, manifests }: HeldContent): string => {
  const text = Object.hasOwn(heldReasons, reason) ? heldReasons[reason as HeldReason] : 'See the documents.';
  return manifests === undefined || reason === 'tagged' ? text : `${text} ${plural(manifests, 'manifest')}.`;
};

function untilText({ reason, from, until }: HeldContent, now: number): string {
  if (until === undefined) return KEPT.has(reason) ? 'kept' : 'it ends';
  const [first, last] = [formatClock(from ?? until, now), formatClock(until, now)];
  return first === last ? last : `${first} to ${last}`;
}

/** Reasons that no time ends. */
const KEPT: ReadonlySet<string> = new Set([
  'tagged',
  'referrer',
  'untagged',
  'unreadable',
] satisfies HeldReason[]);
