import type { PassResult } from '#proto/sync/passes.ts';
import { formatDuration, plural, shortDigest } from '../../terminal/figures.ts';

/** What was tried again, and what came of it. Pure. */

/** What waits for a retry. `reference` is absent for a repository that could not be compared. */
export type PendingRetry = {
  kind: 'refused' | 'failed' | 'uncompared';
  repository: string;
  reference?: string;
  code: string;
  reason: string;
};

/** Max lines of one kind. */
const MAX_LINES = 20;

export const pendingName = ({ repository, reference }: PendingRetry): string => {
  if (reference === undefined) return repository;
  return reference.includes(':') ? `${repository}@${shortDigest(reference)}` : `${repository}:${reference}`;
};

const WORDS = { refused: 'refused by the parent', failed: 'failed', uncompared: 'not compared' };

export function retryingText(pending: PendingRetry[], more: boolean): string {
  const counts = Object.entries(Object.groupBy(pending, ({ kind }) => kind)).map(
    ([kind, some]) => `${some.length} ${WORDS[kind as PendingRetry['kind']]}`,
  );
  return `Trying again: ${counts.join(', ')}${more ? ', and more' : ''}.`;
}

export type Retries = { done: PendingRetry[]; left: PendingRetry[] };

/** @param after what waits after the pass */
export function outcomeOf(before: PendingRetry[], after: PendingRetry[]): Retries {
  const remaining = new Map(after.map((one) => [keyOf(one), one]));
  return {
    done: before.filter((one) => !remaining.has(keyOf(one))),
    left: before.flatMap((one) => remaining.get(keyOf(one)) ?? []),
  };
}

const keyOf = ({ repository, reference = '' }: PendingRetry): string => `${repository}!${reference}`;

export function retriedText({ done, left }: Retries, { ended, ms }: PassResult): string {
  const doneLines = done.map((one) => `done: ${pendingName(one)}`);
  const leftLines = left.map(
    (one) => `still ${WORDS[one.kind]}: ${pendingName(one)}: ${one.reason} (${one.code})`,
  );
  const end = ended ? ` The pass ended early (${ended}); the rest is tried again later.` : '';
  return [
    ...firstOf(doneLines),
    ...firstOf(leftLines),
    `${plural(done.length, 'entry', 'entries')} done, ${left.length} left, in ${formatDuration(ms)}.${end}`,
  ].join('\n');
}

const firstOf = (lines: string[]): string[] =>
  lines.length > MAX_LINES ? [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more`] : lines;
