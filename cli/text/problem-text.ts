import type { Problem } from '#proto/api/layer.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import { formatDuration } from '../terminal/figures.ts';
import { wrapWords } from '../terminal/layout.ts';

/** Max problems that are listed. */
const MAX_LISTED = 20;
/** Columns of the severity, and min width of the text next to it. */
const SEVERITY_WIDTH = 9;
const MIN_TEXT = 20;

/**
 * What needs a person: each problem, with its remedy below. Empty without one. Pure.
 * @param width to which lines are wrapped
 */
export function problemText(layer: LayerStatus, now: number, width = Number.POSITIVE_INFINITY): string {
  const problems = problemsOf(layer);
  if (problems.length === 0) return '';
  const more = problems.length - MAX_LISTED;
  return [
    'PROBLEMS',
    ...problems.slice(0, MAX_LISTED).flatMap((one) => linesOf(one, now, width)),
    ...(more > 0 ? [`… and ${more} more; --json has all`] : []),
  ].join('\n');
}

function linesOf({ severity, what, remedy, since }: Problem, now: number, width: number): string[] {
  const age = since === undefined ? '' : ` (for ${formatDuration(Math.max(0, now - since))})`;
  const wrap = (text: string) => wrapWords(text, Math.max(MIN_TEXT, width - SEVERITY_WIDTH));
  const [first = '', ...rest] = [...wrap(`${what}${age}`), ...wrap(`Remedy: ${remedy}.`)];
  return [
    `${severity.padEnd(SEVERITY_WIDTH)}${first}`,
    ...rest.map((line) => `${' '.repeat(SEVERITY_WIDTH)}${line}`),
  ];
}
