import { until } from './until.ts';

/** Reads the text of a scrape. */

export type ScrapedSample = { name: string; labels: Record<string, string>; value: number };

const LINE = /^([a-z_]+)\{(.*)\} (\S+)$/;
const LABEL = /([a-z]+)="((?:[^"\\]|\\.)*)"(?:,|$)/g;

export function parseMetrics(text: string): ScrapedSample[] {
  return text.split('\n').flatMap((line) => {
    if (line === '' || line.startsWith('#')) return [];
    const [, name, labels, value] = LINE.exec(line) ?? [];
    if (!name || labels === undefined) throw new Error(`not a sample: ${line}`);
    const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label, text] as [string, string]);
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** A scrape of one layer. */
export class Scraped {
  readonly text: string;
  readonly samples: ScrapedSample[];

  constructor(text: string) {
    this.text = text;
    this.samples = parseMetrics(text);
  }

  /** Sum of all samples that have these labels; undefined if there are none. @param name without `terrace_` */
  sum(name: string, labels: Record<string, string> = {}): number | undefined {
    const found = this.samples.filter(
      (one) =>
        one.name === `terrace_${name}` &&
        Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
    return found.length > 0 ? found.reduce((sum, { value }) => sum + value, 0) : undefined;
  }
}

/** Figures that were gathered after the call: scrapes within a second share them. */
export async function scrape(url: string, headers: Record<string, string> = {}): Promise<Scraped> {
  const asked = Date.now() / 1_000;
  let scraped = await scrapeShared(url, headers);
  await until(async () => {
    const gathered = scraped.sum('scrape_timestamp_seconds') ?? 0;
    if (gathered >= asked) return true;
    scraped = await scrapeShared(url, headers);
    return false;
  }, 'fresh figures');
  return scraped;
}

async function scrapeShared(url: string, headers: Record<string, string>): Promise<Scraped> {
  const answer = await fetch(`${url}/metrics`, { headers });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`/metrics: ${answer.status} ${text}`);
  return new Scraped(text);
}
