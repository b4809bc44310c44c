import type { Garbage } from '#proto/content/maintenance.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';

/** What a garbage collection did, and what it left. Pure. */

export function describeGarbage(garbage: Garbage): string {
  const parts = [
    garbage.blobs && plural(garbage.blobs, 'unreferenced blob'),
    garbage.links && `${plural(garbage.links, 'link')} of repositories to blobs`,
    garbage.ingests && plural(garbage.ingests, 'abandoned ingest'),
    garbage.repositories && plural(garbage.repositories, 'empty repository', 'empty repositories'),
    garbage.strays && plural(garbage.strays, 'stray file'),
  ].filter(Boolean);
  const took = `in ${formatDuration(garbage.ms)}`;
  if (parts.length === 0) return `Nothing to delete (checked ${took}).`;
  const what = `${parts.join(', ')}: ${formatBytes(garbage.bytes)}`;
  return garbage.dryRun ? `Would delete ${what} (checked ${took}).` : `Deleted ${what}, ${took}.`;
}
