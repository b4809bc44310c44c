import { Fault } from '#proto/fault.ts';
import type { BlobFile, Volume } from '#proto/volume.ts';

/**
 * Opens committed content where storage says that it lies. What is deleted, or moved, between the answer and the
 * opening is asked for once more.
 */
export async function openCommitted<P extends { path: string }>(
  volume: Volume,
  locate: () => Promise<P>,
): Promise<{ place: P; file: BlobFile }> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const place = await locate();
    const file = await volume.openBlob(place);
    if (file) return { place, file };
  }
  throw new Fault('unavailable', 'the content is not where storage says that it is');
}
