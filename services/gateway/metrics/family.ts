import type { Figures } from './figures.ts';

/** What a metric is: its declaration, from which the text of a scrape and docs/reference/metrics.md are made. Pure. */

/** Values of labels, in their order. */
export type Labels = Readonly<Record<string, string>>;
export type Sample = { labels?: Labels; value: number };
/** `buckets`: observations in each bucket alone; the last one has no upper bound. */
export type HistogramSample = { labels?: Labels; buckets: readonly number[]; seconds: number };

type About = {
  /** Without the prefix `terrace_`; of a counter, without `_total`. */
  name: string;
  help: string;
  labels: readonly string[];
};
export type Family = About &
  (
    | { type: 'gauge' | 'counter'; read: (figures: Figures) => Sample[] }
    | { type: 'histogram'; bounds: readonly number[]; read: (figures: Figures) => HistogramSample[] }
  );

/** A value without labels, or all values. `undefined`, or no value: it is not known now. */
type Reading = number | undefined | Sample[];

const samplesOf = (reading: Reading): Sample[] =>
  typeof reading === 'number' ? [{ value: reading }] : (reading ?? []);

export const gauge = (
  name: string,
  help: string,
  read: (figures: Figures) => Reading,
  ...labels: string[]
): Family => ({ name, type: 'gauge', help, labels, read: (figures) => samplesOf(read(figures)) });

export const counter = (
  name: string,
  help: string,
  read: (figures: Figures) => Reading,
  ...labels: string[]
): Family => ({ name, type: 'counter', help, labels, read: (figures) => samplesOf(read(figures)) });

export const histogram = (
  name: string,
  help: string,
  bounds: readonly number[],
  read: (figures: Figures) => HistogramSample[],
  ...labels: string[]
): Family => ({ name, type: 'histogram', help, bounds, labels, read });

/** One value for each entry of a mapping, which names the value of the label. */
export const byWord = (
  label: string,
  values: Readonly<Record<string, number>>,
  more: Labels = {},
): Sample[] => Object.entries(values).map(([word, value]) => ({ labels: { ...more, [label]: word }, value }));

/** 1 for the word that holds, 0 for the others. */
export const oneOf = (label: string, words: readonly string[], current: string): Sample[] =>
  words.map((word) => ({ labels: { [label]: word }, value: word === current ? 1 : 0 }));

/** Seconds since 1970 of an instant in ms. */
export const seconds = (instant: number | undefined): number | undefined =>
  instant === undefined ? undefined : instant / 1_000;

export const flag = (value: boolean): number => (value ? 1 : 0);
