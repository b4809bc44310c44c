import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { SyncerStatus } from '#proto/status/status.ts';
import { imagesOf } from '../../../services/gateway/api/read/transfers.ts';

const blob = { repository: 'app', digest: `sha256:${'a'.repeat(64)}`, direction: 'down' } as const;
const syncers: SyncerStatus[] = [
  {
    ...{ instance: 's', host: 'h', pid: 1, coordinates: true, count: 1 },
    transfers: [{ ...blob, size: 100, done: 40 }],
  },
];
const image = { repository: 'app', direction: 'down', tag: '1', bytes: 500 } as const;
const trafficOf = (images: (typeof image)[]) => ({ imagesOf: () => images, rateOf: () => 10 });
const shown = (images: (typeof image)[], finished: number | undefined) =>
  imagesOf(syncers, trafficOf(images), {
    of: () => (finished === undefined ? undefined : { bytes: finished, saved: 0 }),
  }).map(({ tag, bytes, done, left }) => ({ tag, bytes, done, left }));

test('an image counts its blobs that are complete and those that wait; else no time left is known', () => {
  deepEqual(shown([image], 200), [{ tag: '1', bytes: 500, done: 240, left: 26 }]);
  // The status of a syncer may still have a blob that is complete.
  deepEqual(shown([image], 490), [{ tag: '1', bytes: 500, done: 500, left: 0 }]);
  const inFlight = { bytes: 100, done: 40, left: undefined };
  deepEqual(shown([image], undefined), [{ tag: '1', ...inFlight }]);
  deepEqual(shown([image, { ...image }], 200), [{ tag: undefined, ...inFlight }]);
  deepEqual(shown([], undefined), [{ tag: undefined, ...inFlight }]);
});

test('of a blob that a delta makes, the bytes of the delta count, and what it saves is named', () => {
  const delta = { digest: `sha256:${'d'.repeat(64)}`, size: 8 };
  const byDelta = [{ ...syncers[0], transfers: [{ ...blob, size: 100, done: 4, delta }] }] as SyncerStatus[];
  const of = (finished: { bytes: number; saved: number } | undefined) =>
    imagesOf(byDelta, trafficOf([image]), { of: () => finished }).map(({ bytes, done, saved, left }) => ({
      ...{ bytes, done, saved, left },
    }));
  // 500 bytes, of which 92 are saved by this blob and 150 by those that are complete.
  deepEqual(of({ bytes: 50, saved: 150 }), [{ bytes: 258, done: 54, saved: 242, left: 20 }]);
  deepEqual(of(undefined), [{ bytes: 8, done: 4, saved: 92, left: undefined }]);
});
