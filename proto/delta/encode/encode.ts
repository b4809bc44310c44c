import { type Bytes, bytesOf, joined, type Scratch } from '../bytes/bytes.ts';
import type { Expansion, ExpansionOptions } from '../expansion/expansion.ts';
import { joinedExpansion } from '../expansion/joined-expansion.ts';
import { writeCopies } from '../format/copies.ts';
import {
  INNER,
  OUTER,
  STREAMS,
  type Stored,
  type StoredBase,
  type StreamName,
  writeHeader,
} from '../format/header.ts';
import { writePlaces } from '../format/places.ts';
import { findMatches } from '../matching/matches.ts';
import { References } from '../matching/references.ts';
import { findEmbedded, innerOf } from './embedded-streams.ts';
import { writeByPlace, writeContent, writeList, writeTokens } from './sections.ts';

/** Shorter matches are compressed with the base as dictionary, which costs fewer bytes than a copy and its gap. */
const MIN_COPY_BYTES = 64 * 1024;

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
  for (const name of STREAMS) sections[name] = options.scratch();
  const lengths = {} as Record<StreamName, number>;
  const list = (name: 'embedded' | 'copies', bytes: Uint8Array) => {
    writeList(bytes, sections[name]);
    lengths[name] = bytes.length;
  };
  const parse = (names: typeof INNER | typeof OUTER, of: Expansion, from: Expansion, near: References) => {
    writeByPlace(of.segments, from.segments, sections[names.segments]);
    writeByPlace(of.blocks, from.blocks, sections[names.blocks]);
    writeTokens(of, from, near, sections[names.tokens]);
    for (const stream of ['segments', 'blocks', 'tokens'] as const) lengths[names[stream]] = of[stream].size;
  };
  const copies = innerMatches.filter(({ length }) => length >= MIN_COPY_BYTES);
  list('embedded', writePlaces(inner.isExpanded ? embedded.before : []));
  list('copies', writeCopies(copies));
  parse(INNER, inner.after, inner.before, innerReferences);
  parse(OUTER, after, base, references);
  const found = { copies, references: innerReferences };
  lengths.content = writeContent(inner.after.content, inner.before.content, found, sections.content);
  const streams = {} as Record<StreamName, { length: number; section: number }>;
  for (const name of STREAMS) streams[name] = { length: lengths[name], section: sections[name].size };
  const header = writeHeader({ target: target.stored, bases: bases.map(({ stored }) => stored), streams });
  return joined([bytesOf(header), ...STREAMS.map((name) => sections[name])]);
}
