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
import { sha256 } from '../layer.ts';

const [one, two, blob] = [sha256('one'), sha256('two'), sha256('blob')];
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

/** A bus on which nothing is said but what a test says; what storage is asked is counted. */
function rig({ alone = false } = {}) {
  const heeded = new Map<string, (data: never) => void>();
  let missed = () => {};
  let asked: string[] = [];
  let flushes = 0;
  const bus = {
    onInvalidation: (event: Event, handler: (data: never) => void) => heeded.set(event.type, handler),
    onGap: (handler: () => void) => {
      missed = handler;
    },
    flush: async () => {
      flushes += 1;
    },
    call: async (_contract: unknown, { reference, digest }: { reference?: string; digest?: string }) => {
      asked.push(reference ?? digest!);
      const manifest = { digest: reference === 'two' ? two : one, mediaType, size: 3, path: 'somewhere' };
      return reference ? manifest : { path: 'elsewhere', size: 4 };
    },
  };
  const cache = new ContentCache(bus as unknown as Bus, 0, alone);
  /** @returns what storage was asked */
  const look = async () => {
    asked = [];
    for (const repository of ['a', 'b']) {
      for (const reference of ['one', 'two', one]) await cache.manifest(repository, reference);
      await cache.blob(repository, blob);
    }
    await cache.bytes(one, async () => {
      asked.push('bytes');
      return Buffer.from('one');
    });
    return asked;
  };
  const say = (event: Event, data: object) => heeded.get(event.type)?.(data as never);
  return { cache, look, say, miss: () => missed(), flushes: () => flushes };
}

const all = ['one', 'two', one, blob, 'one', 'two', one, blob, 'bytes'];
const changes: [what: Event, data: object, forgotten: string[]][] = [
  [tagMoved, { repository: 'a', tag: 'one', digest: two, from: one }, ['one']],
  [tagDeleted, { repository: 'a', tag: 'two', from: two }, ['two']],
  [manifestDeleted, { repository: 'a', digest: one }, [one]],
  [blobUnlinked, { repository: 'b', digest: blob }, [blob]],
  // What points to it may have another media type now.
  [manifestCommitted, { repository: 'a', digest: one, mediaType, size: 3 }, ['one', one, 'one', one]],
  [manifestCommitted, { repository: 'a', digest: sha256('new'), mediaType, size: 3 }, []],
  [tagMoved, { repository: 'c', tag: 'one', digest: two }, []],
  [blobCommitted, { digest: blob, size: 4 }, []],
  [blobDamaged, { digest: one, size: 3 }, all],
  [storageStarted, {}, all],
];

for (const [what, data, forgotten] of changes) {
  test(`after ${what.type} ${JSON.stringify(data).slice(0, 60)}, ${forgotten.length} are asked for again`, async () => {
    const { look, say } = rig();
    deepEqual(await look(), all);
    deepEqual(await look(), []);
    say(what, data);
    deepEqual(await look(), forgotten);
    deepEqual(await look(), []);
  });
}

test('when something may have been missed, nothing is remembered', async () => {
  const { cache, look, miss } = rig();
  await look();
  deepEqual(cache.size, { places: 8, contents: 1, bytes: 3 });
  miss();
  deepEqual(cache.size, { places: 0, contents: 0, bytes: 0 });
  deepEqual(await look(), all);
});

test('only where there may be another gateway the bus is asked for what was said', async () => {
  for (const alone of [true, false]) {
    const { look, say, flushes } = rig({ alone });
    await look();
    equal(flushes(), 0);
    await look();
    equal(flushes() > 0, !alone);
    say(tagMoved, { repository: 'a', tag: 'one', digest: two });
    deepEqual(await look(), ['one']);
  }
});

test('what is not where it was remembered is asked for again', async () => {
  const { cache, look } = rig();
  await look();
  cache.invalidate('a', 'one');
  cache.invalidate('b', blob);
  deepEqual(await look(), ['one', blob]);
});
