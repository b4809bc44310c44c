import { type ByteSink, type Bytes, NOTHING, type Pieces, sliceOf } from '../bytes/bytes.ts';
import { ContentPieces } from '../content/content-pieces.ts';
import { BlockReader } from '../deflate/parse-reader.ts';
import { Contraction } from '../expansion/contraction.ts';
import { type Expansion, type ExpansionOptions, unexpanded } from '../expansion/expansion.ts';
import { expandAt } from '../expansion/gzip.ts';
import { Dictionary } from '../format/dictionary.ts';
import {
  type ExpansionStreams,
  INNER,
  OUTER,
  readHeader,
  STREAMS,
  type StreamName,
} from '../format/header.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import { readPlaces } from '../format/places.ts';
import { type Region, readRegions } from '../format/regions.ts';
import { SectionReader } from '../format/section.ts';
import { ContentWindow } from '../tokens/content-window.ts';
import { TokenDecoder } from '../tokens/decode-tokens.ts';
import { TokenPrediction } from '../tokens/prediction.ts';
import { BufferedSection } from './buffered-section.ts';

/**
 * Writes the stored bytes of the target. They are those that were encoded only if their digest is the expected one.
 * @param base the bases that the header names, joined
 * @throws DeltaInvalid, DeflateInvalid, DeflateTooLong; the sink received a part of the bytes then, and no more than
 * the header names
 */
export function apply(delta: Bytes, base: Expansion, sink: ByteSink, options: ExpansionOptions): void {
  const { streams, sectionsAt, target } = readHeader(delta);
  const sections = {} as Record<StreamName, Bytes>;
  let at = sectionsAt;
  for (const name of STREAMS) {
    sections[name] = sliceOf(delta, at, streams[name].section);
    at += streams[name].section;
  }
  const dictionary = new Dictionary();
  const used: (() => boolean)[] = [];
  /** Bytes of a stream, of which something may be left at the end. */
  const reader = (name: StreamName, of: Bytes, isComplete = true): SectionReader => {
    const section = new SectionReader(sections[name], of, streams[name].length, dictionary);
    if (isComplete) used.push(() => isLeft(section));
    return section;
  };
  const places = reader('embedded', NOTHING);
  const inner =
    streams.embedded.length > 0
      ? expandAt(base.content, readPlaces(places), options)
      : unexpanded(base.content);
  const contraction = (
    content: Pieces,
    names: ExpansionStreams,
    of: Expansion,
    regions: Iterable<Region>,
  ) => {
    const part = {
      segments: reader(names.segments, of.segments),
      hits: reader(names.hits, NOTHING),
      misses: reader(names.misses, NOTHING),
      lengths: reader(names.lengths, NOTHING),
      near: reader(names.near, NOTHING),
      far: reader(names.far, NOTHING),
    };
    const records = new BufferedSection(reader(names.blocks, of.blocks), streams[names.blocks].length);
    const blocks = new BlockReader(records);
    used.push(() => blocks.at < records.size);
    // No list: the content as it is.
    if (streams[names.segments].length === 0) {
      used.unshift(() => isLeft(content));
      return content;
    }
    const window = new ContentWindow(content);
    used.unshift(() => window.ahead(1) > 0);
    const tokens = new TokenDecoder(window, new TokenPrediction(window, of, regions, options.poll), part);
    used.push(() => tokens.isLeft);
    return new Contraction({ window, tokens, segments: part.segments, blocks });
  };
  // Tokens end before the content does.
  const alignment = (name: 'alignment' | 'innerAlignment', isComplete = false) =>
    readRegions(reader(name, NOTHING, isComplete));
  // Without embedded streams, both contents are the same.
  const isExpanded = streams.embedded.length > 0;
  const hasTokens = streams.segments.length > 0;
  const expanded = new ContentPieces(
    {
      regions: alignment(isExpanded ? 'innerAlignment' : 'alignment', true),
      equals: reader('equals', NOTHING),
      recents: reader('recents', NOTHING),
      differences: reader('differences', NOTHING),
      literals: reader('literals', inner.content),
      base: inner.content,
    },
    options.maxLength,
  );
  const stored = contraction(
    contraction(expanded, INNER, inner, isExpanded ? alignment('innerAlignment') : []),
    OUTER,
    base,
    hasTokens ? alignment('alignment') : [],
  );
  let written = 0;
  while (stored.refill()) {
    written += stored.piece.length;
    if (written > target.length) throw new DeltaInvalid('it makes more bytes than the target has');
    sink.append(stored.piece);
    stored.at = stored.piece.length;
  }
  if (written < target.length) throw new DeltaInvalid('it makes fewer bytes than the target has');
  if (used.some((isUnused) => isUnused())) throw new DeltaInvalid('it has more than the target needs');
}

const isLeft = (pieces: Pieces): boolean => pieces.at < pieces.piece.length || pieces.refill();
