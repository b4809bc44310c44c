import type { ByteSink, Bytes, Pieces } from '../bytes/bytes.ts';
import { ContentPieces } from '../content/content-pieces.ts';
import { BlockReader } from '../deflate/parse-reader.ts';
import { Contraction } from '../expansion/contraction.ts';
import { type Expansion, type ExpansionOptions, unexpanded } from '../expansion/expansion.ts';
import { expandAt } from '../expansion/gzip.ts';
import { type ExpansionStreams, INNER, OUTER } from '../format/header.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import { readPlaces } from '../format/places.ts';
import { readRegions } from '../format/regions.ts';
import { ContentWindow } from '../tokens/content-window.ts';
import { TokenDecoder } from '../tokens/decode-tokens.ts';
import { TokenPrediction } from '../tokens/prediction.ts';
import { BufferedSection } from './buffered-section.ts';
import { DeltaSections } from './delta-sections.ts';

/**
 * Writes the stored bytes of the target. They are those that were encoded only if their digest is the expected one.
 * @param base the bases that the header names, joined
 * @throws DeltaInvalid, DeflateInvalid, DeflateTooLong; the sink received a part of the bytes then, and no more than
 * the header names
 */
export function apply(delta: Bytes, base: Expansion, sink: ByteSink, options: ExpansionOptions): void {
  const sections = new DeltaSections(delta);
  // Without embedded streams, both contents are the same.
  const isExpanded = sections.lengthOf('embedded') > 0;
  const inner = isExpanded
    ? expandAt(base.content, readPlaces(sections.open('embedded')), options)
    : unexpanded(base.content);
  const content = new ContentPieces(
    {
      regions: readRegions(sections.open(isExpanded ? INNER.alignment : OUTER.alignment)),
      equals: sections.open('equals'),
      recents: sections.open('recents'),
      differences: sections.open('differences'),
      literals: sections.open('literals', inner.content),
      base: inner.content,
    },
    options.maxLength,
  );
  const outerContent = isExpanded ? contracted(content, inner, INNER, sections, options) : content;
  const stored = contracted(outerContent, base, OUTER, sections, options);
  const { target } = sections;
  let written = 0;
  while (stored.refill()) {
    written += stored.piece.length;
    if (written > target.length) throw new DeltaInvalid('it makes more bytes than the target has');
    sink.append(stored.piece);
    stored.at = stored.piece.length;
  }
  if (written < target.length) throw new DeltaInvalid('it makes fewer bytes than the target has');
  sections.refuseLeftovers();
}

/** The bytes of which this is the content. @param base the same expansion of the bases */
function contracted(
  content: Pieces,
  base: Expansion,
  names: ExpansionStreams,
  sections: DeltaSections,
  { poll }: ExpansionOptions,
): Pieces {
  // No list: the content as it is.
  if (sections.lengthOf(names.segments) === 0) return content;
  const window = new ContentWindow(content);
  sections.addLeftover(() => window.ahead(1) > 0);
  // Tokens end before the content does.
  const regions = readRegions(sections.openInPart(names.alignment));
  const tokens = new TokenDecoder(window, new TokenPrediction(window, base, regions, poll), {
    hits: sections.open(names.hits),
    misses: sections.open(names.misses),
    lengths: sections.open(names.lengths),
    near: sections.open(names.near),
    far: sections.open(names.far),
  });
  sections.addLeftover(() => tokens.isLeft);
  const records = new BufferedSection(
    sections.open(names.blocks, base.blocks),
    sections.lengthOf(names.blocks),
  );
  const blocks = new BlockReader(records);
  sections.addLeftover(() => blocks.at < records.size);
  return new Contraction({ window, tokens, segments: sections.open(names.segments, base.segments), blocks });
}
