import type { StorageStatus } from '#proto/status/storage-status.ts';
import { formatClock, formatDuration, plural } from '../../terminal/figures.ts';

/** Max names that are listed; `--json` has more. */
const MAX_LISTED = 10;

/** What became of the changes after the backup, in a layer that was restored from one. Pure. */
export function restoredText({ restored }: StorageStatus, now: number): string[] {
  if (!restored) return [];
  const { at, report } = restored;
  const head = `Restored ${formatDuration(now - restored.restored)} ago from the backup of ${formatClock(at, now)}`;
  if (!report) return [`${head}; the first complete pass shows which later changes come back`];
  const { known, complete, back, lost, lostFirst, returned, returnedFirst } = report;
  if (!known) {
    return [`${head}: changes made here after it, and only here, are LOST; none is known by name`];
  }
  const until = complete ? '' : '; the parent does not know all of that time';
  return [
    `${head}: of the changes that the parent knows, ${plural(back, 'tag')} came back, ${lost === 0 ? 'none is' : `${lost} ${lost === 1 ? 'is' : 'are'}`} LOST${until}`,
    ...listed('lost', lost, lostFirst),
    ...listed('deleted after it, and here again', returned, returnedFirst),
  ];
}

const listed = (what: string, count: number, first: readonly string[]): string[] => [
  ...first.slice(0, MAX_LISTED).map((name) => `  ${what}: ${name}`),
  ...(count > Math.min(first.length, MAX_LISTED)
    ? [`  and ${count - Math.min(first.length, MAX_LISTED)} more; --json has ${first.length}`]
    : []),
];
