import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

const LEVEL = 9;
/** Window that both sides allow: 4 MiB. A dictionary is in reach as a complete one while the window holds the frame. */
const WINDOW_LOG = 22;
const MIN_TABLE_LOG = 17;
const MAX_HASH_LOG = 24;
const MAX_CHAIN_LOG = 25;

/**
 * Compresses with a dictionary of content. Its tables must have the size of both, or almost nothing of the dictionary
 * is found.
 */
export function compress(content: Uint8Array, dictionary: Uint8Array): Buffer {
  const tableLog = Math.ceil(Math.log2(content.length + dictionary.length + 1));
  return zstdCompressSync(content, {
    ...(dictionary.length > 0 && { dictionary }),
    pledgedSrcSize: content.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      [constants.ZSTD_c_hashLog]: Math.max(MIN_TABLE_LOG, Math.min(MAX_HASH_LOG, tableLog)),
      [constants.ZSTD_c_chainLog]: Math.max(MIN_TABLE_LOG, Math.min(MAX_CHAIN_LOG, tableLog)),
      [constants.ZSTD_c_contentSizeFlag]: 0,
    },
  });
}

/** @throws Error if the frame is invalid or has more than `maxLength` bytes of content */
export function decompress(frame: Uint8Array, dictionary: Uint8Array, maxLength: number): Buffer {
  return zstdDecompressSync(frame, {
    ...(dictionary.length > 0 && { dictionary }),
    maxOutputLength: Math.max(1, maxLength),
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
  });
}
