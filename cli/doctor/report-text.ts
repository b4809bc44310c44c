import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { type Tone, toned } from '../terminal/colour.ts';
import { plural } from '../terminal/figures.ts';
import { wrapWords } from '../terminal/layout.ts';
import { singleLine } from '../terminal/terminal.ts';
import type { Report } from './doctor.ts';
import { type CheckState, groups, type Result } from './verdict/check.ts';

/** The report for people: a line for each check, in its group, and its findings with their remedies below. */

/** Columns of the state and of the name of a check. */
const STATE_WIDTH = 13;
const NAME_WIDTH = 20;
/** Min width of the text beside them, in columns. */
const MIN_TEXT = 20;

const words: Record<CheckState, string> = {
  ok: 'ok',
  warning: 'warning',
  fault: 'FAULT',
  'not checked': 'not checked',
};

export function reportText(report: Report, width: number): string {
  const sections = groups.map((group) => {
    const results = report.checks.filter((result) => result.group === group);
    if (results.length === 0) return '';
    const shared = sharedReasons(results);
    const own = results.filter(({ state, about }) => state !== 'not checked' || !shared.has(about));
    return [
      group.toUpperCase(),
      ...own.flatMap((result) => resultLines(result, width)),
      ...[...shared].flatMap(([reason, names]) => uncheckedLines(names, reason, width)),
    ].join('\n');
  });
  return [headText(report, width), ...sections.filter(Boolean), summaryText(report)].join('\n\n');
}

const states = {
  running: 'which runs',
  stopped: 'which does not run',
  unknown: 'of which is not known whether it runs',
};

function headText({ name, data, layer: state, source }: Report, width: number): string {
  const layer = name === undefined ? 'The layer' : `Layer "${name}"`;
  const text = `${layer} in ${data}, ${states[state]}; configuration: ${source}`;
  return wrapWords(singleLine(text), width).join('\n');
}

/** Reasons for which several checks were not made, with their names. */
function sharedReasons(results: readonly Result[]): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { check, state, about } of results) {
    if (state === 'not checked') names.set(about, [...(names.get(about) ?? []), check]);
  }
  return new Map([...names].filter(([, checks]) => checks.length > 1));
}

function uncheckedLines(names: readonly string[], reason: string, width: number): string[] {
  const [first = '', ...more] = wrapWords(singleLine(`${names.join(', ')}: ${reason}`), width - STATE_WIDTH);
  return [
    words['not checked'].padEnd(STATE_WIDTH) + first,
    ...more.map((line) => ' '.repeat(STATE_WIDTH) + line),
  ];
}

function resultLines({ check, state, about, findings }: Result, width: number): string[] {
  const indent = ' '.repeat(STATE_WIDTH + NAME_WIDTH);
  const wrap = (text: string) => wrapWords(singleLine(text), Math.max(MIN_TEXT, width - indent.length));
  const texts =
    findings.length === 0
      ? [about]
      : findings.flatMap(({ severity, what, remedy }) => [
          // Of several findings in one check, the state of the line is that of the worst.
          severity === 'warning' && state === 'fault' ? `warning: ${what}` : what,
          `Remedy: ${remedy}.`,
        ]);
  const [first = '', ...more] = texts.flatMap(wrap);
  const head = `${words[state].padEnd(STATE_WIDTH)}${check.padEnd(NAME_WIDTH)}${first}`.trimEnd();
  return [head, ...more.map((line) => `${indent}${line}`)];
}

function summaryText({ summary, tookMs }: Report): string {
  const { faults, warnings, ok, notChecked } = summary;
  const counts = [
    faults === 0 ? 'no fault' : plural(faults, 'fault'),
    warnings === 0 ? 'no warning' : plural(warnings, 'warning'),
    `${ok} ok`,
    `${notChecked} not checked`,
  ];
  return `${counts.join(', ')}, in ${formatSeconds(tookMs)}`;
}

const tones: Partial<Record<string, Tone>> = {
  FAULT: 'bad',
  warning: 'warning',
  ok: 'good',
  'not checked': 'faint',
};
const STATES = /^(FAULT|warning|ok|not checked)(?= {2})/;
const TITLES = /^[A-Z][A-Z ]+$/;

/** Adds colours to the states and titles of a report. */
export const paintReport = (text: string): string =>
  text
    .split('\n')
    .map((line) =>
      TITLES.test(line)
        ? toned('strong', line)
        : line.replace(STATES, (word) => toned(tones[word] as Tone, word)),
    )
    .join('\n');
