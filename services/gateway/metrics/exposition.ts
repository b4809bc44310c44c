import type { Family, HistogramSample, Labels, Sample } from './family.ts';
import type { Figures } from './figures.ts';

/**
 * The text of a scrape, in the format of OpenMetrics 1.0 or, for scrapers that do not know it, of Prometheus 0.0.4.
 * They differ in the names of counters in comments, in the bounds of buckets, and in the end.
 */
export type Format = 'openmetrics' | 'prometheus';

export const contentTypes: Record<Format, string> = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
};

export const formatFor = (accept: string | undefined): Format =>
  accept?.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';

export const PREFIX = 'terrace_';

/** @param constant labels of every sample */
export function exposition(
  families: readonly Family[],
  figures: Figures,
  format: Format,
  constant: Labels,
): string {
  const lines = families.flatMap((family) => linesOf(family, figures, format, constant));
  return `${lines.join('\n')}\n${format === 'openmetrics' ? '# EOF\n' : ''}`;
}

function linesOf(family: Family, figures: Figures, format: Format, constant: Labels): string[] {
  const name = `${PREFIX}${family.name}`;
  const sampled = family.type === 'counter' ? `${name}_total` : name;
  const described = format === 'openmetrics' ? name : sampled;
  const lines =
    family.type === 'histogram'
      ? unique(family.read(figures)).flatMap((one) =>
          histogramLines(name, family.bounds, one, format, constant),
        )
      : unique(family.read(figures)).map((one) => line(sampled, { ...constant, ...one.labels }, one.value));
  if (lines.length === 0) return [];
  const help = family.help.replace(/\\/g, '\\\\').replaceAll('\n', '\\n');
  return [`# HELP ${described} ${help}`, `# TYPE ${described} ${family.type}`, ...lines];
}

/** A scraper refuses everything if two samples have the same labels. */
function unique<T extends Sample | HistogramSample>(samples: readonly T[]): T[] {
  const known = new Set<string>();
  return samples.filter(({ labels }) => {
    const key = JSON.stringify(labels ?? {});
    return !known.has(key) && known.add(key);
  });
}

function histogramLines(
  name: string,
  bounds: readonly number[],
  { labels, buckets, seconds }: HistogramSample,
  format: Format,
  constant: Labels,
): string[] {
  const all = { ...constant, ...labels };
  let count = 0;
  const lines = [...bounds, Number.POSITIVE_INFINITY].map((bound, index) => {
    count += buckets[index] ?? 0;
    return line(`${name}_bucket`, { ...all, le: boundText(bound, format) }, count);
  });
  return [...lines, line(`${name}_count`, all, count), line(`${name}_sum`, all, seconds)];
}

/** OpenMetrics 1.0 writes numbers of labels as floats. */
const boundText = (bound: number, format: Format): string =>
  bound === Number.POSITIVE_INFINITY
    ? '+Inf'
    : `${bound}${format === 'openmetrics' && Number.isInteger(bound) ? '.0' : ''}`;

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}{${pairs.join(',')}} ${value}`;
}

const escaped = (text: string): string =>
  text.replace(/[\\\n"]/g, (mark) => (mark === '\n' ? '\\n' : `\\${mark}`));
