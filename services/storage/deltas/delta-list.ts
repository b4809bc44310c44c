import type { Static } from '@sinclair/typebox';
import type { listDeltas } from '#proto/content/deltas.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { page } from '../metadata/page.ts';
import type { KeptDelta } from '../metadata/records.ts';
import type { DeltaIndex } from './delta-index.ts';

/** Max deltas, and max pairs, of a page. */
const MAX_LISTED = 500;
/** What `after` begins with: deltas are listed first, then the pairs. */
const [DELTA, PAIR] = ['delta ', 'pair '];

type ListDeps = {
  metadata: Metadata;
  index: DeltaIndex;
  /** Wall clock of an instant of the age clock. */
  wallOf: (instant: number) => number;
};
type Listed = Static<typeof listDeltas.reply>;

/** A page of deltas and refused pairs, in bytewise order. */
export async function listKept(
  { metadata, index, wallOf }: ListDeps,
  { to, after = '' }: Static<typeof listDeltas.query>,
): Promise<Listed> {
  const isWanted = to && new Set(to);
  const listed: Listed = { deltas: [], refused: [] };
  if (!after.startsWith(PAIR)) {
    const last = after.startsWith(DELTA) ? after.slice(DELTA.length) : '';
    const records = isWanted ? deltasOf(metadata, index, [...isWanted], last) : metadata.allDeltas(last);
    const [entries, more] = await page(records, MAX_LISTED, lengthOf);
    listed.deltas = entries.map(([digest, { repository: _, ...record }]) => ({
      ...record,
      digest,
      made: wallOf(record.made),
      used: wallOf(record.used),
    }));
    if (more) return { ...listed, next: `${DELTA}${entries.at(-1)?.[0]}` };
  }
  const last = after.startsWith(PAIR) ? after.slice(PAIR.length) : '';
  const pairs = async function* () {
    for await (const [name, record] of metadata.allRefusedDeltas(last)) {
      const target = name.slice(0, name.indexOf('!'));
      if (!isWanted || isWanted.has(target)) yield [name, { ...record, to: target }] as const;
    }
  };
  const [entries, more] = await page(pairs(), MAX_LISTED, lengthOf);
  listed.refused = entries.map(([, { to: target, from, format, reason }]) => ({
    to: target,
    from,
    format,
    reason,
  }));
  return { ...listed, ...(more && { next: `${PAIR}${entries.at(-1)?.[0]}` }) };
}

async function* deltasOf(
  metadata: Metadata,
  index: DeltaIndex,
  targets: string[],
  after: string,
): AsyncGenerator<[string, KeptDelta]> {
  const digests = targets.flatMap((target) => index.of(target)).sort();
  for (const digest of digests.filter((each) => each > after)) {
    const record = await metadata.delta(digest);
    if (record) yield [digest, record];
  }
}

const lengthOf = (entry: readonly unknown[]): number => JSON.stringify(entry).length;
