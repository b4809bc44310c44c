import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';

/** Content of a piece, without a dictionary: RFC 7932. */

const QUALITY = 11;
/** Of longer content: it takes a tenth of the time. */
const QUICK_QUALITY = 9;
const MAX_SLOW_BYTES = 256 * 1024;
/** Window that both sides allow: 4 MiB. */
const WINDOW_LOG = 22;
const SPARE_BYTES = 64;

export const compressAlone = (content: Uint8Array): Buffer =>
  brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: content.length > MAX_SLOW_BYTES ? QUICK_QUALITY : QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: WINDOW_LOG,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });

/** @throws Error if the frame is invalid or has more than `maxLength` bytes of content */
export const decompressAlone = (frame: Uint8Array, maxLength: number): Buffer =>
  brotliDecompressSync(frame, {
    chunkSize: maxLength + SPARE_BYTES,
    maxOutputLength: Math.max(1, maxLength),
  });
