import { PassThrough, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzipSync,
} from 'node:zlib';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { Body } from './bodies.ts';

/**
 * Bodies of blobs that a proxy has compressed, although no encoding was accepted. A registry may also mark content as
 * encoded that it sends as it is, such as a layer that is a gzip file itself: its length says which it is. A long body
 * without a length is judged by its first bytes.
 */

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** @param header `Content-Encoding` */
export const isDecodable = (header: string | undefined): boolean =>
  Object.hasOwn(DECODERS, header?.trim().toLowerCase() ?? '');

/** A body of at most this many bytes is judged by its length, a longer one by its first bytes. */
const HEAD_BYTES = 256 * 1024;

/** By digest, blobs for which the guess by the first bytes was wrong: the next guess is the opposite. */
export type WrongGuesses = {
  get(digest: string): true | undefined;
  set(digest: string, value: true): unknown;
  delete(digest: string): unknown;
};

/** Decodes the bodies of blobs. */
export class EncodedBodies {
  readonly #wrong: WrongGuesses;

  constructor(wrong: WrongGuesses) {
    this.#wrong = wrong;
  }

  /**
   * The content of a body, at most a buffer ahead of its reader.
   * @param header `Content-Encoding`
   * @param length of the body in bytes, if the answer says so; a body of `size` bytes is not encoded
   */
  read(
    body: Body,
    { header, length, size, digest }: { header?: string; length: number; size: number; digest: Digest },
  ): Body {
    const encoding = header?.trim().toLowerCase() ?? '';
    if (!isDecodable(encoding) || length === size) return body;
    const parts = Number.isNaN(length)
      ? this.#guessed(body, encoding, digest, size)
      : decoded(body, encoding);
    return { destroy: () => body.destroy(), [Symbol.asyncIterator]: () => parts };
  }

  async *#guessed(body: Body, encoding: string, digest: Digest, size: number): AsyncGenerator<Buffer> {
    const parts = body[Symbol.asyncIterator]();
    const { head, isAll } = await readHead(parts);
    const isWrong = this.#wrong.get(digest) ?? false;
    const asSent = isAll ? head.length === size : isEncoded(head, encoding) === isWrong;
    const all = resumed(head, parts);
    let received = 0;
    const guessedWrong = () => (isWrong ? this.#wrong.delete(digest) : this.#wrong.set(digest, true));
    const content = asSent ? all : decoded(all, encoding);
    try {
      for await (const part of content) {
        received += part.length;
        if (received > size) break;
        yield part;
      }
    } catch (error) {
      // Other faults are of the link.
      if (Fault.is(error, 'parent-invalid')) guessedWrong();
      throw error;
    }
    if (received === size) return;
    guessedWrong();
    throw new Fault(
      'parent-invalid',
      `a proxy of the parent compresses content (${encoding}), and ${digest} does not have its ${size} bytes: let the proxy send blobs as they are`,
      { detail: { hasRemedy: true } },
    );
  }
}

/** The first bytes of a body, at least `HEAD_BYTES` unless these are all of it. */
async function readHead(parts: AsyncIterator<Buffer>): Promise<{ head: Buffer; isAll: boolean }> {
  const read: Buffer[] = [];
  for (let bytes = 0; bytes <= HEAD_BYTES; ) {
    const next = await parts.next();
    if (next.done) return { head: Buffer.concat(read), isAll: true };
    read.push(next.value);
    bytes += next.value.length;
  }
  return { head: Buffer.concat(read), isAll: false };
}

async function* resumed(head: Buffer, parts: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield head;
    for (let next = await parts.next(); !next.done; next = await parts.next()) yield next.value;
  } finally {
    await parts.return?.();
  }
}

async function* decoded(parts: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const decoder = DECODERS[encoding]?.() ?? new PassThrough();
  // A failure of the body or of the decoder is thrown to the reader of the output.
  const output = new PassThrough();
  const done = pipeline(parts, decoder, output);
  done.catch(() => {});
  try {
    for await (const part of output) yield part as Buffer;
    await done;
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new Fault(
      'parent-invalid',
      `content that a proxy of the parent compresses (${encoding}) can't be decoded: ${code ?? message}: let the proxy send blobs as they are`,
      { cause, detail: { hasRemedy: true } },
    );
  } finally {
    output.destroy();
  }
}

const GZIP = Buffer.from([0x1f, 0x8b]);
const isGzip = (bytes: Uint8Array): boolean => GZIP.equals(bytes.subarray(0, 2));

/**
 * Whether content is encoded, by its first bytes. A gzip file in gzip is a layer that a proxy compressed, and JSON in
 * gzip a configuration; any other gzip file is taken for a layer that is sent as it is.
 */
function isEncoded(head: Buffer, encoding: string): boolean {
  if (encoding !== 'gzip' && encoding !== 'x-gzip') return true;
  if (!isGzip(head)) return false;
  try {
    const inner = gunzipSync(head.subarray(0, 4_096), { finishFlush: constants.Z_SYNC_FLUSH });
    return isGzip(inner) || /^\s*\{/.test(inner.subarray(0, 64).toString('latin1'));
  } catch {
    return false;
  }
}
