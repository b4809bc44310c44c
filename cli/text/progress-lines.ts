import { clip } from '#proto/contract/clip.ts';
import { formatBytes, formatDuration } from '../terminal/figures.ts';
import type { ImageProgress, PassProgress } from './image-progress.ts';

/** The progress of a pass as lines for people. Pure. */

/** Max images with a line of their own. */
const MAX_LINES = 8;
const MAX_NAME = 34;
const BAR = 14;

/** `57 %, 40 s left`. @param open more will come, so that the time is a lower bound */
const shareText = ({ bytes, done, leftMs }: Omit<ImageProgress, 'image' | 'direction'>, open = false) =>
  [
    `${bytes > 0 ? Math.floor((100 * done) / bytes) : 100} %`,
    ...(leftMs === undefined ? [] : [`${open ? 'more than ' : ''}${formatDuration(leftMs)} left`]),
  ].join(', ');

/** `3 of 12 done, 57 % of 120 MB, 1.2 MB/s, 40 s left` */
export function totalText({
  planned,
  finished,
  open,
  bytes,
  done,
  saved,
  rate,
  leftMs,
}: PassProgress['total']): string {
  return [
    `${finished} of ${planned} done`,
    `${bytes > 0 ? Math.floor((100 * done) / bytes) : 100} % of ${formatBytes(bytes)}`,
    ...(saved === undefined ? [] : [`${formatBytes(saved)} saved`]),
    ...(rate === undefined ? [] : [`${formatBytes(rate)}/s`]),
    ...(leftMs === undefined ? [] : [`${open ? 'more than ' : ''}${formatDuration(leftMs)} left`]),
  ].join(', ');
}

/** The lines of the images in transfer, with bars, and the one of the total; none without images. */
export function progressLines({ images, total }: PassProgress): string[] {
  if (images.length === 0) return [];
  const shown = images.slice(0, MAX_LINES);
  const names = shown.map(({ image }) => clip(image, MAX_NAME));
  const width = names.reduce((max, { length }) => Math.max(max, length), 'total'.length);
  const lines = shown.map((one, index) => {
    const full = one.bytes > 0 ? Math.floor((BAR * one.done) / one.bytes) : BAR;
    const bar = '█'.repeat(full) + '░'.repeat(BAR - full);
    return `${one.direction === 'up' ? '↑' : '↓'} ${names[index]?.padEnd(width)}  ${bar}  ${shareText(one)}`;
  });
  const hidden = images.length - shown.length;
  return [
    ...lines,
    ...(hidden > 0 ? [`  … and ${hidden} more`] : []),
    `  ${'total'.padEnd(width)}  ${totalText(total)}`,
  ];
}

/** `57 % of 120 MB, 40 s left: line/web:2 57 %, 40 s left; …`, for output that no terminal shows. */
export function progressLine({ images, total }: PassProgress): string {
  if (images.length === 0) return '';
  const shown = images.slice(0, MAX_LINES).map((one) => `${one.image} ${shareText(one)}`);
  const hidden = images.length - shown.length;
  return `${totalText(total)}: ${[...shown, ...(hidden > 0 ? [`… and ${hidden} more`] : [])].join('; ')}`;
}
