import { type ByteSink, type Bytes, NOTHING, type Pieces, sliceOf } from '../bytes/bytes.ts';
import { BlockReader } from '../deflate/parse-reader.ts';
import { Contraction } from '../expansion/contraction.ts';
import { type Expansion, type ExpansionOptions, unexpanded } from '../expansion/expansion.ts';
import { expandAt } from '../expansion/gzip.ts';
import { BufferedSection } from '../format/buffered-section.ts';
import { readCopies } from '../format/copies.ts';
import { Dictionary } from '../format/dictionary.ts';
import { INNER, OUTER, readHeader, STREAMS, type StreamName } from '../format/header.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import { readPlaces } from '../format/places.ts';
import { SectionReader } from '../format/section.ts';
import { ContentPieces } from './content-pieces.ts';

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
  const reader = (name: StreamName, of: Bytes): SectionReader => {
    const section = new SectionReader(sections[name], of, streams[name].length, dictionary);
    used.push(() => isLeft(section));
    return section;
  };
  const places = reader('embedded', NOTHING);
  const inner =
    streams.embedded.length > 0
      ? expandAt(base.content, readPlaces(places), options)
      : unexpanded(base.content);
  const contraction = (content: Pieces, names: typeof INNER | typeof OUTER, of: Expansion): Pieces => {
    const segments = reader(names.segments, of.segments);
    const tokens = reader(names.tokens, of.tokens);
    const records = new BufferedSection(reader(names.blocks, of.blocks), streams[names.blocks].length);
    const blocks = new BlockReader(records);
    used.push(
      () => isLeft(content),
      () => blocks.at < records.size,
    );
    // No list: the content as it is.
    if (streams[names.segments].length === 0) return content;
    return new Contraction({ content, tokens, segments, blocks });
  };
  const copies = readCopies(reader('copies', NOTHING));
  const expanded = new ContentPieces(
    copies,
    reader('content', inner.content),
    inner.content,
    options.maxLength,
  );
  const stored = contraction(contraction(expanded, INNER, inner), OUTER, base);
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
