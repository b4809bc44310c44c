import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

const LEVEL = 12;
/** Window that both sides allow: 4 MiB. A dictionary is in reach as a complete one while the window holds the frame. */
const WINDOW_LOG = 22;
/** Of the output buffer, so that one is enough. */
const SPARE_BYTES = 64;
const MIN_TABLE_LOG = 17;
const MAX_TABLE_LOG = 24;

/**
 * Compresses with a dictionary of content. A table has about as many entries as both have bytes: with a half of them,
 * almost nothing of the dictionary is found.
 */
export function compress(content: Uint8Array, dictionary: Uint8Array): Buffer {
  const entriesLog = Math.round(Math.log2(content.length + dictionary.length + 1));
  const tableLog = Math.max(MIN_TABLE_LOG, Math.min(MAX_TABLE_LOG, entriesLog));
  return zstdCompressSync(content, {
    ...(dictionary.length > 0 && { dictionary }),
    pledgedSrcSize: content.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      [constants.ZSTD_c_hashLog]: tableLog,
      [constants.ZSTD_c_chainLog]: tableLog,
      [constants.ZSTD_c_contentSizeFlag]: 0,
    },
  });
}

/** @throws Error if the frame is invalid or has more than `maxLength` bytes of content */
export function decompress(frame: Uint8Array, dictionary: Uint8Array, maxLength: number): Buffer {
  return zstdDecompressSync(frame, {
    ...(dictionary.length > 0 && { dictionary }),
    chunkSize: maxLength + SPARE_BYTES,
    maxOutputLength: Math.max(1, maxLength),
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
  });
}
