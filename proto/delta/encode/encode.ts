import { type Bytes, bytesOf, joined, piecesAsTaken, piecesOf, type Scratch } from '../bytes/bytes.ts';
import { encodeContent } from '../content/encode-content.ts';
import { LiteralWriter } from '../content/literal-writer.ts';
import type { Expansion, ExpansionOptions } from '../expansion/expansion.ts';
import { joinedExpansion } from '../expansion/joined-expansion.ts';
import {
  type ExpansionStreams,
  INNER,
  OUTER,
  STREAMS,
  type Stored,
  type StoredBase,
  type StreamName,
  writeHeader,
} from '../format/header.ts';
import { writePlaces } from '../format/places.ts';
import { type Region, RegionWriter, readRegions } from '../format/regions.ts';
import { align } from '../matching/align.ts';
import { findMatches, type Match } from '../matching/matches.ts';
import { References } from '../matching/references.ts';
import { encodeTokens } from '../tokens/encode-tokens.ts';
import { writeByPlace } from './by-place.ts';
import { findEmbedded, innerOf } from './embedded-streams.ts';
import { StreamWriter } from './stream-writer.ts';

type Found = { matches: readonly Match[]; references: References };

/** Stored bytes and their expansion. */
export type DeltaSource<S extends Stored = Stored> = { stored: S; expansion: Expansion };

/** @returns the delta of `target` from `bases`; it is made of scratch bytes, so copy it before they end */
export function encode(
  target: DeltaSource,
  bases: readonly DeltaSource<StoredBase>[],
  options: ExpansionOptions,
): Bytes {
  const base = joinedExpansion(bases.map(({ expansion }) => expansion));
  const after = target.expansion;
  const matches = findMatches(base.content, after.content);
  const references = new References(matches, base.content.size);
  const embedded = findEmbedded(base.content, after.content, { matches, references }, options.poll);
  const inner = innerOf(base.content, after.content, embedded, options);
  const innerMatches = inner.isExpanded ? findMatches(inner.before.content, inner.after.content) : matches;
  const innerReferences = new References(innerMatches, inner.before.content.size);

  const sections = {} as Record<StreamName, Scratch>;
  const writers = {} as Record<StreamName, StreamWriter>;
  for (const name of STREAMS) {
    sections[name] = options.scratch();
    writers[name] = new StreamWriter(sections[name]);
  }
  const lengths = {} as Record<StreamName, number>;
  /** @returns reads the alignment, again each time */
  const aligned = (name: 'alignment' | 'innerAlignment', from: Bytes, to: Bytes, found: Found) => {
    const list = options.scratch();
    const writer = new RegionWriter(list);
    for (const region of align(from, to, found, options.poll)) writer.add(region);
    writer.end();
    for (const piece of piecesOf(list, 0, list.size)) writers[name].append(piece);
    return () => readRegions(piecesAsTaken(list));
  };
  const parse = (names: ExpansionStreams, of: Expansion, from: Expansion, regions: Iterable<Region>) => {
    writeByPlace(of.segments, from.segments, sections[names.segments]);
    writeByPlace(of.blocks, from.blocks, sections[names.blocks]);
    for (const stream of ['segments', 'blocks'] as const) lengths[names[stream]] = of[stream].size;
    const { hits, misses, lengths: list, near, far } = names;
    encodeTokens(
      of,
      from,
      regions,
      {
        hits: writers[hits],
        misses: writers[misses],
        lengths: writers[list],
        near: writers[near],
        far: writers[far],
      },
      options.poll,
    );
  };
  writers.embedded.append(writePlaces(inner.isExpanded ? embedded.before : []));
  const hasTokens = after.tokens.size > 0;
  const outerRegions =
    hasTokens || !inner.isExpanded
      ? aligned('alignment', base.content, after.content, { matches, references })
      : () => [];
  const innerRegions = inner.isExpanded
    ? aligned('innerAlignment', inner.before.content, inner.after.content, {
        matches: innerMatches,
        references: innerReferences,
      })
    : outerRegions;
  parse(INNER, inner.after, inner.before, innerRegions());
  parse(OUTER, after, base, outerRegions());
  const literals = new LiteralWriter(
    inner.after.content,
    inner.before.content,
    innerReferences,
    sections.literals,
  );
  encodeContent(inner.after.content, inner.before.content, innerRegions(), {
    equals: writers.equals,
    recents: writers.recents,
    differences: writers.differences,
    literal: (range) => literals.add(range),
  });
  literals.end();
  lengths.literals = literals.length;
  const streams = {} as Record<StreamName, { length: number; section: number }>;
  for (const name of STREAMS) {
    writers[name].end();
    streams[name] = { length: lengths[name] ?? writers[name].length, section: sections[name].size };
  }
  const header = writeHeader({ target: target.stored, bases: bases.map(({ stored }) => stored), streams });
  return joined([bytesOf(header), ...STREAMS.map((name) => sections[name])]);
}
