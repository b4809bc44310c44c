/** Bytes that can be read at any place. Reads block: the codec runs in a worker thread of its own. */
export type Bytes = {
  readonly size: number;
  /** Fills `target` with the bytes from `at` on. Reads nothing behind `size`. @returns the number of bytes read */
  read(target: Uint8Array, at: number): number;
};

/** Takes bytes in order. It must not keep `bytes`: their memory is used again. */
export type ByteSink = { append(bytes: Uint8Array): void };

/** Bytes that are written once, in order, and read at any place: memory, or a temporary file. */
export type Scratch = Bytes & ByteSink;

export const bytesOf = (content: Uint8Array): Bytes => ({
  size: content.length,
  read(target, at) {
    const piece = content.subarray(at, at + target.length);
    target.set(piece);
    return piece.length;
  },
});

export const NOTHING: Bytes = { size: 0, read: () => 0 };

/** @throws RangeError if `bytes` has fewer */
export function readExactly(bytes: Bytes, at: number, length: number): Uint8Array {
  const target = new Uint8Array(length);
  const read = bytes.read(target, at);
  if (read < length) throw new RangeError(`${length} bytes at ${at} of ${bytes.size}`);
  return target;
}

/** @returns fewer than `length` bytes at the end */
export function readUpTo(bytes: Bytes, at: number, length: number): Uint8Array {
  const target = new Uint8Array(Math.max(0, Math.min(length, bytes.size - at)));
  return target.subarray(0, bytes.read(target, at));
}

/** All bytes from `from` to `to`, in pieces that are valid until the next one. */
export function* piecesOf(
  bytes: Bytes,
  from: number,
  to: number,
  pieceBytes = 256 * 1024,
): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(pieceBytes, Math.max(0, to - from)));
  for (let at = from; at < to; ) {
    const piece = buffer.subarray(0, Math.min(buffer.length, to - at));
    const read = bytes.read(piece, at);
    if (read < piece.length) throw new RangeError(`${piece.length} bytes at ${at} of ${bytes.size}`);
    yield piece;
    at += read;
  }
}

/** Several as one. */
export function joined(parts: readonly Bytes[]): Bytes {
  const ends: number[] = [];
  let size = 0;
  for (const part of parts) {
    size += part.size;
    ends.push(size);
  }
  return {
    size,
    read(target, at) {
      let filled = 0;
      for (const [index, part] of parts.entries()) {
        const end = ends[index] as number;
        const from = at + filled;
        if (from >= end || filled === target.length) continue;
        filled += part.read(target.subarray(filled), from - (end - part.size));
      }
      return filled;
    },
  };
}

/** Bytes that are taken in order, piece by piece. */
export type Pieces = {
  /** The bytes that were not taken. Valid until `refill`. */
  piece: Uint8Array;
  /** Of `piece`: the first that was not taken. */
  at: number;
  /** Replaces a piece all of which was taken. @returns false at the end */
  refill(): boolean;
};

/** All bytes, in pieces. */
export function piecesAsTaken(bytes: Bytes, pieceBytes = 256 * 1024): Pieces {
  const buffer = new Uint8Array(Math.min(pieceBytes, bytes.size));
  let next = 0;
  const pieces: Pieces = {
    piece: new Uint8Array(),
    at: 0,
    refill() {
      const read = bytes.read(buffer, next);
      pieces.piece = buffer.subarray(0, read);
      pieces.at = 0;
      next += read;
      return read > 0;
    },
  };
  return pieces;
}

/** Part of other bytes. */
export const sliceOf = (bytes: Bytes, start: number, length: number): Bytes => ({
  size: length,
  read: (target, at) =>
    bytes.read(target.subarray(0, Math.max(0, Math.min(target.length, length - at))), start + at),
});
