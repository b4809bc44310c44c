import { join } from 'node:path';

/*
 * Paths on the data volume. No other file spells these names.
 *
 *   metadata/                     LevelDB, opened by storage only; metadata.json next to it: see metadata-state.ts
 *   repair/<time>/                metadata that a repair replaced, and its report
 *   blobs/<algorithm>/<2 digits>/<hex>   committed content: see blob-store.ts
 *   ingest/<id>/                  content being written: see ingest-folders.ts
 *     data                        the bytes; the file's size is the offset
 *     chunks                      chunk log, of a transfer only (chunk-log.ts)
 *     copy                        private copy, while an unclean ingest is committed
 *   quarantine/                   damaged content
 */

export const METADATA = 'metadata';
export const METADATA_STATE = `${METADATA}.json`;
export const REPAIRS = 'repair';
export const QUARANTINE = 'quarantine';
export const BLOBS = 'blobs';
export const INGESTS = 'ingest';

export const algorithms = ['sha256', 'sha512'] as const;

/** Path relative to the volume, as the next one. */
export const blobPath = (algorithm: string, hex: string): string =>
  join(BLOBS, algorithm, hex.slice(0, 2), hex);
export const ingestPath = (id: string): string => join(INGESTS, id);

/** Files of the ingest in this folder. */
export const ingestFiles = (folder: string): { data: string; chunks: string; copy: string } => ({
  data: join(folder, 'data'),
  chunks: join(folder, 'chunks'),
  copy: join(folder, 'copy'),
});
