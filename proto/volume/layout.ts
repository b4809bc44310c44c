import { join } from 'node:path';

/*
 * Where things lie on the data volume. Nothing else spells these names.
 *
 *   metadata/                     LevelDB, which storage alone opens; metadata.json beside it: see metadata-state.ts
 *   repair/<time>/                what a repair replaced, and its report
 *   blobs/<algorithm>/<2 digits>/<hex>   committed content: see blob-store.ts
 *   ingest/<id>/                  content being written: see ingest-folders.ts
 *     data                        the bytes; their number is the offset
 *     chunks                      of a transfer: the chunk log (chunk-log.ts)
 *     copy                        while an unclean ingest is committed
 *   quarantine/                   damaged content that was set aside
 */

export const METADATA = 'metadata';
export const METADATA_STATE = `${METADATA}.json`;
export const REPAIRS = 'repair';
export const QUARANTINE = 'quarantine';
export const BLOBS = 'blobs';
export const INGESTS = 'ingest';

export const algorithms = ['sha256', 'sha512'] as const;

/** Relative to the volume. */
export const blobPath = (algorithm: string, hex: string): string =>
  join(BLOBS, algorithm, hex.slice(0, 2), hex);
export const ingestPath = (id: string): string => join(INGESTS, id);

/** Files of an ingest, by its folder. */
export const ingestFiles = (folder: string): { data: string; chunks: string; copy: string } => ({
  data: join(folder, 'data'),
  chunks: join(folder, 'chunks'),
  copy: join(folder, 'copy'),
});
