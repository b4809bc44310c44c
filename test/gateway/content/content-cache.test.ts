import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import {
  blobCommitted,
  blobUnlinked,
  manifestCommitted,
  manifestDeleted,
  storageStarted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { blobDamaged } from '#proto/content/maintenance.ts';
import type { Event } from '#proto/contract/contract.ts';
import { ContentCache } from '../../../services/gateway/content/content-cache.ts';
import { sha256 } from '../gateway-rig.ts';

const [one, two, blob] = [sha256('one'), sha256('two'), sha256('blob')];
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

/** A stand-in for the bus, which publishes the events of a test, and records requests to storage and flushes. */
function rig({ alone = false } = {}) {
  const handlers = new Map<string, (data: never) => void>();
  let gapHandler = () => {};
  let requests: string[] = [];
  let flushes = 0;
  const bus = {
    onInvalidation: (event: Event, handler: (data: never) => void) => handlers.set(event.type, handler),
    onGap: (handler: () => void) => {
      gapHandler = handler;
    },
    flush: async () => {
      flushes += 1;
    },
    call: async (_contract: unknown, { reference, digest }: { reference?: string; digest?: string }) => {
      requests.push(reference ?? digest!);
      const manifest = { digest: reference === 'two' ? two : one, mediaType, size: 3, path: 'somewhere' };
      return reference ? manifest : { path: 'elsewhere', size: 4 };
    },
  };
  const cache = new ContentCache(bus as unknown as Bus, 0, alone);
  /** Reads everything. @returns the requests to storage */
  const readAll = async () => {
    requests = [];
    for (const repository of ['a', 'b']) {
      for (const reference of ['one', 'two', one]) await cache.manifest(repository, reference);
      await cache.blob(repository, blob);
    }
    await cache.bytes(one, async () => {
      requests.push('bytes');
      return Buffer.from('one');
    });
    return requests;
  };
  const publish = (event: Event, data: object) => handlers.get(event.type)?.(data as never);
  return { cache, readAll, publish, gap: () => gapHandler(), flushes: () => flushes };
}

const all = ['one', 'two', one, blob, 'one', 'two', one, blob, 'bytes'];
const changes: [event: Event, data: object, requestedAgain: string[]][] = [
  [tagMoved, { repository: 'a', tag: 'one', digest: two, from: one }, ['one']],
  [tagDeleted, { repository: 'a', tag: 'two', from: two }, ['two']],
  [manifestDeleted, { repository: 'a', digest: one }, [one]],
  [blobUnlinked, { repository: 'b', digest: blob }, [blob]],
  // Its references may have another media type now.
  [manifestCommitted, { repository: 'a', digest: one, mediaType, size: 3 }, ['one', one, 'one', one]],
  [manifestCommitted, { repository: 'a', digest: sha256('new'), mediaType, size: 3 }, []],
  [tagMoved, { repository: 'c', tag: 'one', digest: two }, []],
  [blobCommitted, { digest: blob, size: 4 }, []],
  [blobDamaged, { digest: one, size: 3 }, all],
  [storageStarted, {}, all],
];

for (const [event, data, requestedAgain] of changes) {
  test(`after ${event.type} ${JSON.stringify(data).slice(0, 60)}, ${requestedAgain.length} entries are requested again`, async () => {
    const { readAll, publish } = rig();
    deepEqual(await readAll(), all);
    deepEqual(await readAll(), []);
    publish(event, data);
    deepEqual(await readAll(), requestedAgain);
    deepEqual(await readAll(), []);
  });
}

test('a gap of the bus clears the cache', async () => {
  const { cache, readAll, gap } = rig();
  await readAll();
  deepEqual(cache.size, { places: 8, contents: 1, bytes: 3 });
  gap();
  deepEqual(cache.size, { places: 0, contents: 0, bytes: 0 });
  deepEqual(await readAll(), all);
});

test('a hit flushes the bus only if another gateway may exist', async () => {
  for (const alone of [true, false]) {
    const { readAll, publish, flushes } = rig({ alone });
    await readAll();
    equal(flushes(), 0);
    await readAll();
    equal(flushes() > 0, !alone);
    publish(tagMoved, { repository: 'a', tag: 'one', digest: two });
    deepEqual(await readAll(), ['one']);
  }
});

test('an invalidated place is requested again', async () => {
  const { cache, readAll } = rig();
  await readAll();
  cache.invalidate('a', 'one');
  cache.invalidate('b', blob);
  deepEqual(await readAll(), ['one', blob]);
});
