import { createHash } from 'node:crypto';
import { apply } from './apply/apply.ts';
import { BoundedWork, type DeltaOptions, withDeltaErrors } from './bounded-work.ts';
import { type ByteSink, type Bytes, piecesOf } from './bytes/bytes.ts';
import { encode } from './encode/encode.ts';
import { unexpanded } from './expansion/expansion.ts';
import { expandBlob, expandGzip } from './expansion/gzip.ts';
import { joinedExpansion } from './expansion/joined-expansion.ts';
import { FORMAT, MAX_BASES, readHeader, type Stored, type StoredBase } from './format/header.ts';
import { DeltaInvalid } from './format/invalid.ts';

/**
 * Deltas between blobs, bit-exact also where they are compressed: `docs/design/delta-format.md`. Pure functions that
 * know bytes, and no network, disk or bus. They block, so run them in a worker thread of their own.
 *
 * - this file: make a delta and apply one; `bounded-work.ts` their bounds
 * - `bytes/` what the codec reads and writes, and numbers
 * - `deflate/` inflates a stream and keeps the parse that its encoder chose; writes a stream from content and parse
 * - `expansion/` replaces deflate streams by their content, and makes them again
 * - `matching/` finds what two contents have in common: an alignment
 * - `tokens/` predicts the parse of a stream from that of the base, and keeps what is otherwise
 * - `content/` differences of what is aligned, and what is new
 * - `format/` the parts of a delta file
 * - `encode/`, `apply/` the two directions
 */

/** Version of the format. A delta of another one can't be applied. */
export const DELTA_FORMAT = FORMAT;

/** Bytes of a blob as they are stored, and their SHA-256 (32 bytes). */
export type DeltaBlob = { bytes: Bytes; sha256: Uint8Array };

export type EncodeDeltaOptions = DeltaOptions & {
  target: DeltaBlob;
  /** 0 to 4 of them. What is in common with an earlier one is preferred. */
  bases: readonly DeltaBlob[];
};

export type ApplyDeltaOptions = DeltaOptions & {
  delta: Bytes;
  /** Those that the delta names, in its order: `readDeltaHeader`. */
  bases: readonly DeltaBlob[];
  /** The expected target: bytes and SHA-256. */
  target: Stored;
  /** Receives the stored bytes of the target in order, never more than its length. It must not keep their memory. */
  sink: ByteSink;
};

/** A delta that was made does not make its target: the target is damaged, or the codec is wrong. */
export class DeltaMismatch extends DeltaInvalid {}

/** What a delta makes, and of what. */
export type DeltaHeader = { format: number; target: Stored; bases: readonly Stored[] };

/**
 * Makes a delta, and applies it to prove that it makes the target. It may be longer than the target: compare.
 * @returns the delta; it is in scratch bytes, so copy it before they end
 * @throws DeltaInvalid if a base has another SHA-256; DeltaMismatch if the target has; DeltaLimitExceeded; RangeError
 * if there are too many bases, or a blob has fewer bytes than its size; what scratch, blobs and signal throw
 */
export function encodeDelta({ target, bases, ...options }: EncodeDeltaOptions): Bytes {
  if (bases.length > MAX_BASES) throw new RangeError(`a delta has ${MAX_BASES} bases at most`);
  const work = new BoundedWork(options);
  refuseDamaged(bases, work);
  const expansion = work.expansion(storedBytes(target.bytes.size, bases));
  const sourceOf = ({ bytes, sha256 }: DeltaBlob) => {
    const expanded = expandBlob(work.bytes(bytes), expansion);
    const stored = { length: bytes.size, sha256, isGzip: expanded.isGzip };
    return { stored, expansion: expanded.expansion };
  };
  return withDeltaErrors(
    () => {
      const sources = bases.map(sourceOf);
      const delta = encode(sourceOf(target), sources, expansion);
      const hash = createHash('sha256');
      const base = joinedExpansion(sources.map((source) => source.expansion));
      apply(delta, base, { append: (bytes) => hash.update(bytes) }, expansion);
      if (!hash.digest().equals(target.sha256)) throw new DeltaMismatch('the target is damaged');
      return delta;
    },
    (cause) => new DeltaMismatch('the delta does not make the target', { cause }),
  );
}

/** @throws DeltaInvalid if these bytes are no delta of this format */
export function readDeltaHeader(delta: Bytes): DeltaHeader {
  const { target, bases } = readHeader(delta);
  return { format: FORMAT, target, bases };
}

/**
 * Makes the target again. Once it throws, what the sink received is of no use.
 * @throws DeltaInvalid if the delta is damaged or hostile, of other bases or of another target, or if a base is damaged
 * (the message says which one); DeltaLimitExceeded; what scratch, blobs, sink and signal throw
 */
export function applyDelta({ delta, bases, target, sink, ...options }: ApplyDeltaOptions): void {
  const work = new BoundedWork(options);
  const header = readHeader(delta);
  if (!isSame(header.target, target)) throw new DeltaInvalid('it makes another target');
  if (header.bases.length !== bases.length) throw new DeltaInvalid(`it has ${header.bases.length} bases`);
  for (const [index, { bytes, sha256 }] of bases.entries()) {
    if (!isSame(header.bases[index] as Stored, { length: bytes.size, sha256 })) {
      throw new DeltaInvalid(`base ${index + 1} is another one`);
    }
  }
  const hash = createHash('sha256');
  const hashed = {
    append(bytes: Uint8Array) {
      hash.update(bytes);
      sink.append(bytes);
    },
  };
  const run = () => {
    const expansion = work.expansion(storedBytes(target.length, bases));
    const base = joinedExpansion(
      bases.map(({ bytes }, index) => {
        const { isGzip } = header.bases[index] as StoredBase;
        return isGzip ? expandGzip(work.bytes(bytes), expansion) : unexpanded(work.bytes(bytes));
      }),
    );
    apply(work.bytes(delta), base, work.sink(hashed), expansion);
    if (!hash.digest().equals(target.sha256)) throw new DeltaInvalid('it makes other bytes than the target');
  };
  try {
    withDeltaErrors(run, (cause) => new DeltaInvalid(cause.message, { cause }));
  } catch (error) {
    if (error instanceof DeltaInvalid) refuseDamaged(bases, work, error);
    throw error;
  }
}

/** A delta that does not fit may be right, and a base damaged. @throws DeltaInvalid that names such a base */
function refuseDamaged(bases: readonly DeltaBlob[], work: BoundedWork, cause?: DeltaInvalid): void {
  for (const [index, { bytes, sha256 }] of bases.entries()) {
    const hash = createHash('sha256');
    for (const piece of piecesOf(work.bytes(bytes), 0, bytes.size)) hash.update(piece);
    if (!hash.digest().equals(sha256)) throw new DeltaInvalid(`base ${index + 1} is damaged`, { cause });
  }
}

const isSame = (one: Stored, other: Stored): boolean =>
  one.length === other.length && Buffer.compare(one.sha256, other.sha256) === 0;

const storedBytes = (target: number, bases: readonly DeltaBlob[]): number =>
  bases.reduce((sum, { bytes }) => sum + bytes.size, target);
