import { Throughput } from '#proto/api/link.ts';
import { type ImageTransfer, Transfers } from '#proto/api/transfers.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { crossingBytes, savedBytes } from '#proto/sync/crossing.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import type { FinishedBytes } from './finished-bytes.ts';
import type { StatusCache } from './status-cache.ts';
import type { Traffic } from './traffic.ts';

/** Max syncers and images in one answer. */
const MAX_SYNCERS = 256;
const MAX_IMAGES = 1_000;

/** Loaded by the first request. */
const loadTransfers = () => import('#proto/overview/transfers.ts');

/** What crosses the link now, and what crossed it in the last hour. */
export function transferOperations(
  { bus }: Pick<Gateway, 'bus'>,
  status: StatusCache,
  traffic: Traffic,
  finished: FinishedBytes,
): Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/transfers',
      needs: 'operate/read',
      summary: 'What crosses the link now: images, and the transfers of each syncer.',
      answers: { 200: Transfers },
      handler: async (): Promise<Transfers> => {
        const [{ syncers }, { transferItems, waitingTransfers }] = await Promise.all([
          status.read(),
          loadTransfers(),
        ]);
        const waiting = await waitingTransfers(bus, syncers);
        return {
          images: imagesOf(syncers, traffic, finished),
          items: transferItems(syncers),
          ...(waiting && { waiting }),
          transfers: syncers.slice(0, MAX_SYNCERS),
          rate: traffic.rate(),
        };
      },
    }),
    operation({
      method: 'GET',
      path: '/throughput',
      needs: 'operate/read',
      summary: 'Bytes that crossed the link in the last hour.',
      answers: { 200: Throughput },
      handler: async () => traffic.throughput(),
    }),
  ];
}

/**
 * Transfers by repository and direction. The image is named if it is the only one of the repository that is on its way:
 * a blob may belong to several. Only then its bytes count that are complete or did not begin yet, and the time left is
 * known.
 */
export function imagesOf(
  syncers: LayerStatus['syncers'],
  traffic: Pick<Traffic, 'imagesOf' | 'rateOf'>,
  finished: Pick<FinishedBytes, 'of'>,
): ImageTransfer[] {
  const images = new Map<string, Summed>();
  for (const { instance, transfers } of syncers) {
    for (const transfer of transfers) {
      const { repository, direction, done = 0 } = transfer;
      const key = `${direction} ${repository}`;
      const image = images.get(key) ?? {
        repository,
        direction,
        blobs: 0,
        bytes: 0,
        done: 0,
        saved: 0,
        rate: 0,
        by: [],
      };
      image.blobs += 1;
      image.bytes += crossingBytes(transfer);
      image.saved += savedBytes(transfer);
      image.done += done;
      image.rate += transfer.rate ?? traffic.rateOf(transfer);
      if (!image.by.includes(instance) && image.by.length < 64) image.by.push(instance);
      images.set(key, image);
    }
  }
  return [...images.values()].slice(0, MAX_IMAGES).map((image) => withImage(image, traffic, finished));
}

type Summed = ImageTransfer & { saved: number; rate: number };

function withImage(
  { saved, ...summed }: Summed,
  traffic: Pick<Traffic, 'imagesOf'>,
  finished: Pick<FinishedBytes, 'of'>,
): ImageTransfer {
  const { rate, repository, direction } = summed;
  const image = { ...summed, ...(saved > 0 && { saved }) };
  const [only, other] = traffic.imagesOf(repository, direction);
  if (!only || other) return image;
  const named = { ...image, ...(only.tag !== undefined && { tag: only.tag }) };
  const complete = finished.of(repository, direction);
  if (complete === undefined) return named;
  const notCrossing = saved + complete.saved;
  const bytes = Math.max(image.bytes, only.bytes - notCrossing);
  const done = Math.min(bytes, image.done + complete.bytes);
  return {
    ...named,
    bytes,
    done,
    ...(notCrossing > 0 && { saved: notCrossing }),
    ...(rate > 0 && { left: Math.round((bytes - done) / rate) }),
  };
}
