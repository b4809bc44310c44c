import { type Bytes, bytesOf, joined, piecesAsTaken, piecesOf } from '../bytes/bytes.ts';
import { encodeContent } from '../content/encode-content.ts';
import { LiteralWriter } from '../content/literal-writer.ts';
import type { Expansion, ExpansionOptions } from '../expansion/expansion.ts';
import { joinedExpansion } from '../expansion/joined-expansion.ts';
import {
  type ExpansionStreams,
  INNER,
  OUTER,
  type Stored,
  type StoredBase,
  writeHeader,
} from '../format/header.ts';
import { writePlaces } from '../format/places.ts';
import { type Region, RegionWriter, readRegions } from '../format/regions.ts';
import { align } from '../matching/align.ts';
import { type Comparison, compare } from '../matching/comparison.ts';
import { encodeTokens } from '../tokens/encode-tokens.ts';
import { writeByPlace } from './by-place.ts';
import { findEmbedded, innerOf } from './embedded-streams.ts';
import { SectionWriters } from './section-writers.ts';

/** Stored bytes and their expansion. */
export type DeltaSource<S extends Stored = Stored> = { stored: S; expansion: Expansion };

/** One of the two expansions of the target, that of the bases, and what their contents have in common. */
type Pair = { after: Expansion; before: Expansion; found: Comparison };
/** Reads the alignment of a pair, again each time. */
type Alignment = () => Iterable<Region>;

/** @returns the delta of `target` from `bases`; it is made of scratch bytes, so copy it before they end */
export function encode(
  target: DeltaSource,
  bases: readonly DeltaSource<StoredBase>[],
  options: ExpansionOptions,
): Bytes {
  const before = joinedExpansion(bases.map(({ expansion }) => expansion));
  const after = target.expansion;
  const outer = { after, before, found: compare(before.content, after.content) };
  const embedded = findEmbedded(before.content, after.content, outer.found, options.poll);
  const { isExpanded, ...expanded } = innerOf(before.content, after.content, embedded, options);
  const inner = isExpanded
    ? { ...expanded, found: compare(expanded.before.content, expanded.after.content) }
    : { ...expanded, found: outer.found };

  const writers = new SectionWriters(options.scratch);
  if (isExpanded) writers.stream('embedded').append(writePlaces(embedded.before));
  // Of content whose streams are expanded once more, only tokens need it.
  const isAligned = !isExpanded || after.tokens.size > 0;
  const alignment = isAligned ? writeAlignment('alignment', outer, writers, options) : () => [];
  const innerAlignment = isExpanded ? writeAlignment('innerAlignment', inner, writers, options) : alignment;
  writeParse(INNER, inner, innerAlignment, writers, options);
  writeParse(OUTER, outer, alignment, writers, options);
  writeContent(inner, innerAlignment, writers);
  const { streams, sections } = writers.end();
  const header = writeHeader({ target: target.stored, bases: bases.map(({ stored }) => stored), streams });
  return joined([bytesOf(header), ...sections]);
}

function writeAlignment(
  name: 'alignment' | 'innerAlignment',
  { after, before, found }: Pair,
  writers: SectionWriters,
  { scratch, poll }: ExpansionOptions,
): Alignment {
  const list = scratch();
  const writer = new RegionWriter(list);
  for (const region of align(before.content, after.content, found, poll)) writer.add(region);
  writer.end();
  for (const piece of piecesOf(list, 0, list.size)) writers.stream(name).append(piece);
  return () => readRegions(piecesAsTaken(list));
}

function writeParse(
  names: ExpansionStreams,
  { after, before }: Pair,
  alignment: Alignment,
  writers: SectionWriters,
  { poll }: ExpansionOptions,
): void {
  for (const stream of ['segments', 'blocks'] as const) {
    writeByPlace(after[stream], before[stream], writers.section(names[stream]));
    writers.wrote(names[stream], after[stream].size);
  }
  const { hits, misses, lengths, near, far } = names;
  const sinks = {
    hits: writers.stream(hits),
    misses: writers.stream(misses),
    lengths: writers.stream(lengths),
    near: writers.stream(near),
    far: writers.stream(far),
  };
  encodeTokens(after, before, alignment(), sinks, poll);
}

function writeContent({ after, before, found }: Pair, alignment: Alignment, writers: SectionWriters): void {
  const section = writers.section('literals');
  const literals = new LiteralWriter(after.content, before.content, found.references, section);
  encodeContent(after.content, before.content, alignment(), {
    equals: writers.stream('equals'),
    recents: writers.stream('recents'),
    differences: writers.stream('differences'),
    literal: (range) => literals.add(range),
  });
  literals.end();
  writers.wrote('literals', literals.length);
}
