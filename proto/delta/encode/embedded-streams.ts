import type { Bytes } from '../bytes/bytes.ts';
import { merged, type Range } from '../bytes/range.ts';
import { DeflateTooLong } from '../deflate/parse.ts';
import { type ExpansionOptions, unexpanded } from '../expansion/expansion.ts';
import { expandAt } from '../expansion/gzip.ts';
import type { Comparison } from '../matching/comparison.ts';
import type { Match } from '../matching/matches.ts';
import { findStreams } from './find-streams.ts';

/** How far before what differs a stream is searched. */
const BEGIN_BYTES = 64 * 1024;

type Embedded = { before: number[]; after: number[] };

/** Embedded streams that differ, and those of the base that resemble them. */
export function findEmbedded(
  before: Bytes,
  after: Bytes,
  { matches, references }: Comparison,
  poll: () => void,
): Embedded {
  const gaps = gapsOf(matches, after.size);
  // A stream may begin in equal bytes, and differ later.
  const searched = gaps.map(({ start, end }) => ({ start: start - BEGIN_BYTES, end }));
  const changed = findStreams(after, merged(searched, after.size), poll).filter((stream) =>
    overlaps(gaps, stream),
  );
  // What is expanded in the base alone would have to be sent.
  const kept = merged(
    matches.map(({ from, length }) => ({ start: from, end: from + length })),
    before.size,
  );
  const near = changed.map((stream) => ({ stream, ranges: references.of(stream) }));
  const found = findStreams(
    before,
    merged(
      near.flatMap(({ ranges }) => ranges),
      before.size,
    ),
    poll,
  ).filter((stream) => !isInside(kept, stream));
  const resembled = near.filter(({ ranges }) => ranges.some((range) => overlaps(found, range)));
  return { before: found.map(({ start }) => start), after: resembled.map(({ stream }) => stream.start) };
}

function gapsOf(matches: readonly Match[], size: number): Range[] {
  const gaps: Range[] = [];
  let start = 0;
  for (const match of [...matches, { at: size, length: 0 }]) {
    if (match.at > start) gaps.push({ start, end: match.at });
    start = match.at + match.length;
  }
  return gaps;
}

const overlaps = (ranges: readonly Range[], { start, end }: Range): boolean => {
  const range = firstBehind(ranges, start);
  return range !== undefined && range.start < end;
};

const isInside = (ranges: readonly Range[], { start, end }: Range): boolean => {
  const range = firstBehind(ranges, start);
  return range !== undefined && range.start <= start && range.end >= end;
};

/** The first range that ends behind `start`. @param ranges in order, without overlaps */
function firstBehind(ranges: readonly Range[], start: number): Range | undefined {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle] as Range).end <= start) low = middle + 1;
    else high = middle;
  }
  return ranges[low];
}

export function innerOf(before: Bytes, after: Bytes, embedded: Embedded, options: ExpansionOptions) {
  if (embedded.before.length === 0 || embedded.after.length === 0) {
    return { isExpanded: false, before: unexpanded(before), after: unexpanded(after) };
  }
  try {
    return {
      isExpanded: true,
      before: expandAt(before, embedded.before, options),
      after: expandAt(after, embedded.after, options),
    };
  } catch (error) {
    if (!(error instanceof DeflateTooLong)) throw error;
    return { isExpanded: false, before: unexpanded(before), after: unexpanded(after) };
  }
}
