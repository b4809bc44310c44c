import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { type StorageStatus, storageStatus } from '#proto/status/storage-status.ts';
import { SCRATCH } from '#proto/volume/layout.ts';
import type { TestLayer } from '../../test/support/layer.ts';
import type { FaultProxy } from '../../test/support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../test/support/proxy/requests.ts';
import { getManifest } from '../../test/support/registry/image.ts';
import type { Phase } from './kill-plan.ts';

/** Time in which garbage collection deletes what is left of an update, in ms. */
const MAX_SETTLE_MS = 120_000;
const SETTLE_POLL_MS = 5_000;
/** Of a delta, from who made it or who still receives it. */
const DELTA_PATH = /^\/v2\/_terrace\/(deltas|arriving)\/sha256:/;
const BLOB_PATH = /\/blobs\/sha256:/;

/** Bytes over the link, and those of the delta. */
export type UpdateBytes = { delta: number; crossed: number; repeated: number; blobs: number };

/** An update on its way from top to bottom. Events may be lost while processes are killed, so that none is awaited. */
export class WatchedUpdate {
  readonly #top: TestLayer;
  readonly #bottom: TestLayer;
  readonly #link: FaultProxy;
  readonly #image: { repository: string; tag: string; digest: string };
  /** Bytes of the deltas that the top layer had before. */
  readonly #before: number;
  #made: number | undefined;

  private constructor(
    [top, bottom]: [TestLayer, TestLayer],
    link: FaultProxy,
    image: { repository: string; tag: string; digest: string },
    before: number,
  ) {
    this.#top = top;
    this.#bottom = bottom;
    this.#link = link;
    this.#image = image;
    this.#before = before;
  }

  /** @param push returns the digest of the manifest */
  static async begin(
    layers: [TestLayer, TestLayer],
    link: FaultProxy,
    image: { repository: string; tag: string },
    push: () => Promise<string>,
  ): Promise<WatchedUpdate> {
    const before = (await statusOf(layers[0]))?.deltas?.bytes ?? 0;
    link.clearRequests();
    return new WatchedUpdate(layers, link, { ...image, digest: await push() }, before);
  }

  async isThere(): Promise<boolean> {
    const { repository, tag, digest } = this.#image;
    const manifest = await getManifest(this.#bottom.host, repository, tag).catch(() => undefined);
    return manifest?.digest === digest;
  }

  async phase(): Promise<Phase> {
    const { delta, crossed, repeated } = await this.bytes();
    if (crossed === 0) return 'making';
    return delta === 0 || crossed - repeated < delta ? 'transfer' : 'applying';
  }

  async bytes(): Promise<UpdateBytes> {
    const crossed = this.#link.bytesOf(DELTA_PATH);
    if (crossed > 0) this.#made ??= (await statusOf(this.#top))?.deltas?.bytes;
    return {
      delta: (this.#made ?? this.#before) - this.#before,
      crossed,
      repeated: repeatedBytes(this.#link.requests, DELTA_PATH),
      blobs: this.#link.bytesOf(BLOB_PATH),
    };
  }
}

/** Ingests and scratch files that layers still have: at once, and after some time to delete them. */
export async function leftovers(
  layers: Record<string, TestLayer>,
): Promise<Record<'first' | 'last', string[]>> {
  const find = async () =>
    (await Promise.all(Object.entries(layers).map(([name, layer]) => leftIn(layer, name)))).flat();
  const first = await find();
  let last = first;
  for (const end = performance.now() + MAX_SETTLE_MS; last.length > 0 && performance.now() < end; ) {
    await sleep(SETTLE_POLL_MS);
    for (const layer of Object.values(layers))
      await layer
        .bus()
        .call(collectGarbage, { dryRun: false })
        .catch(() => undefined);
    last = await find();
  }
  return { first, last };
}

async function leftIn(layer: TestLayer, name: string): Promise<string[]> {
  const status = await statusOf(layer);
  const ingests = status?.ingests.map(({ id }) => `ingest ${id}`) ?? ['storage, which does not answer'];
  const scratch = await readdir(join(layer.data, SCRATCH)).catch(() => []);
  return [...ingests, ...scratch.map((file) => `scratch file ${file}`)].map((one) => `${name}: ${one}`);
}

/** @returns undefined while it does not answer */
const statusOf = (layer: TestLayer): Promise<StorageStatus | undefined> =>
  layer
    .bus()
    .call(storageStatus, {})
    .catch(() => undefined);
