import type { Scrubbed, ScrubProgress } from '#proto/content/maintenance.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';

/** A running scrub, and its result. Pure. */

/** `45 % of 120 MB, 3 of 10 blobs, 20 MB/s, 2 min left` */
export function scrubProgressText(progress: ScrubProgress): string {
  const { checked, blobs, bytes, total, damaged, rate, left } = progress;
  return [
    `${total > 0 ? Math.floor((100 * bytes) / total) : 100} % of ${formatBytes(total)}`,
    `${checked} of ${plural(blobs, 'blob')}`,
    ...(rate === undefined ? [] : [`${formatBytes(rate)}/s`]),
    ...(left === undefined ? [] : [`${formatDuration(left * 1_000)} left`]),
    ...(damaged > 0 ? [`${damaged} DAMAGED`] : []),
  ].join(', ');
}

export function describeScrub({ checked, bytes: read, damaged, metadata = [], ms }: Scrubbed): string {
  const head = `Checked ${plural(checked, 'blob')}, ${formatBytes(read)}, in ${formatDuration(ms)}: `;
  const content =
    damaged.length === 0
      ? [`${head}all intact.`]
      : [
          `${head}${damaged.length} damaged, moved to the folder quarantine:`,
          ...damaged.map((digest) => `  ${digest}`),
        ];
  const findings = metadata.map((finding) => `  ${finding}`);
  const records =
    findings.length === 0
      ? []
      : ['Metadata are damaged: stop the layer and run "terrace repair":', ...findings];
  return [...content, ...records].join('\n');
}
