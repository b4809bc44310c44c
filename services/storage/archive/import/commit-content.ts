import { readFile } from 'node:fs/promises';
import { each } from '#proto/async/each.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { Blobs } from '../../content/blobs.ts';
import type { Manifests } from '../../repositories/manifests.ts';
import { isIndex } from '../../repositories/sparse.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { NeededContent, NeededManifest } from './needed-content.ts';
import type { SetContent } from './set-content.ts';

/** Blobs, and manifests, that are stored at a time: they share their syncs. */
const AT_A_TIME = 8;

export type CommitDeps = {
  store: BlobStore;
  blobs: Blobs;
  manifests: Manifests;
};

/** Commits blobs as transfers are: nothing names them yet, so they are kept for a while, and then deleted. */
export async function commitBlobs(
  { blobs }: CommitDeps,
  source: SetContent,
  needed: NeededContent,
  run: ArchiveRun,
): Promise<void> {
  const found = [...needed.blobs].flatMap((digest) => source.find(digest) ?? []);
  run.begin(
    'storing content',
    found.reduce((sum, { content }) => sum + content.size, 0),
  );
  await each(found, AT_A_TIME, (one) =>
    blobs.commitChunks(one.content.digest, counted(source.chunks(one), run)),
  );
}

async function* counted(chunks: AsyncIterable<Uint8Array>, run: ArchiveRun): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    run.add(chunk.byteLength);
    yield chunk;
  }
}

/**
 * Puts the manifests into their repositories, without tags; indexes after what they name.
 * @param arrived they came from the parent
 */
export async function putManifests(
  { store, manifests }: CommitDeps,
  source: SetContent,
  needed: readonly NeededManifest[],
  run: ArchiveRun,
  arrived: boolean,
): Promise<void> {
  run.begin('storing manifests', needed.length);
  const put = async ({ digest, isStored, ...manifest }: NeededManifest) => {
    run.add(1);
    const bytes = (!isStored && (await source.manifest(digest))) || (await readFile(store.file(digest)));
    await manifests.put({
      ...manifest,
      digest,
      bytes,
      link: true,
      received: true,
      ...(arrived && { arrived }),
    });
  };
  await each(
    needed.filter(({ mediaType }) => !isIndex(mediaType)),
    AT_A_TIME,
    put,
  );
  for (const index of needed.filter(({ mediaType }) => isIndex(mediaType))) await put(index);
}
