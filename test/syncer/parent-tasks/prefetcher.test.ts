import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { ARRIVING_PATH, type ArrivingBlob } from '#proto/content/arriving.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Volume } from '#proto/volume/volume.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { ParentArriving } from '../../../services/syncer/link/parent/arriving.ts';
import { Prefetcher, type PrefetcherDeps } from '../../../services/syncer/parent-tasks/prefetcher.ts';
import type { LinkUse as Hours } from '../../../services/syncer/schedule/link-schedule.ts';
import { sha256, TestLayer, until } from '../../gateway/layer.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { patience } from '../../support/until.ts';

/** What is begun early, when, and how it ends, below a parent of a few lines. */

const layer = await TestLayer.start();
after(() => layer[Symbol.asyncDispose]());
const bus = await layer.testBus.connect('syncer');

/** What the parent tells, and has; and who waits for something else to be told. */
const parent = {
  cursor: 1,
  blobs: [] as ArrivingBlob[],
  content: new Map<string, Buffer>(),
  asked: [] as string[],
  waiting: new Set<ServerResponse>(),
  /** Each answer has another cursor. */
  restless: false,
  tell(...blobs: ArrivingBlob[]): void {
    this.cursor += 1;
    this.blobs = blobs;
    for (const one of this.waiting) this.answer(one);
    this.waiting.clear();
  },
  answer(response: ServerResponse): void {
    if (this.restless) this.cursor += 1;
    response.end(JSON.stringify({ cursor: this.cursor.toString(16), blobs: this.blobs }));
  },
};
const server = createServer(({ url = '', headers }, response) => {
  const { pathname, searchParams } = new URL(url, 'http://parent');
  parent.asked.push(pathname);
  if (pathname === ARRIVING_PATH) {
    const isOther = parent.restless || searchParams.get('after') !== parent.cursor.toString(16);
    if (isOther) return parent.answer(response);
    return parent.waiting.add(response);
  }
  const content = parent.content.get(pathname.slice(ARRIVING_PATH.length + 1));
  if (!content) return response.writeHead(404).end();
  if (content.length === 0) return response.writeHead(204).end();
  const [, first, last] = (/bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? []).map(Number);
  const range = { 'content-range': `bytes ${first}-${last}/${content.length}` };
  return response.writeHead(206, range).end(content.subarray(first, Number(last) + 1));
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const link = new ParentLink({ url: `http://127.0.0.1:${(server.address() as { port: number }).port}` });
after(async () => {
  await link[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});

let hours: Hours;
beforeEach(() => {
  hours = { usable: true, live: true };
  parent.asked = [];
  parent.tell();
});

/** @param size of what is told; `there`: what the parent has of it */
function blob(repository: string, size = 400_000, there: 'all' | 'nothing' | 'unknown' = 'all') {
  const content = randomBytes(size);
  const digest = sha256(content);
  if (there !== 'unknown') parent.content.set(digest, there === 'all' ? content : Buffer.alloc(0));
  return { told: { repository, digest, size, attempt: 'a1' }, content, digest };
}

function follow(pace: PrefetcherDeps['pace'] = { after: () => 0 }) {
  const arriving = new ParentArriving(link);
  const settings = {
    get: () => ({
      ...configurationWith({ repositories: ['app/*'] }),
      parent: { url: 'http://parent' },
    }),
    clients: async () => ({
      arriving,
      get pushClient(): never {
        return assert.fail('nothing goes up');
      },
    }),
    bandwidth: UNLIMITED as never,
  };
  const changeCursor = { cursor: '1.a', passEnded: new Promise<void>(() => {}) };
  const volume = new Volume(layer.data);
  const activity = { take: () => ({ reached() {}, waits() {}, [Symbol.dispose]() {} }) };
  const prefetcher = new Prefetcher({
    bus,
    volume,
    settings,
    changeCursor,
    link: () => hours,
    by: 'early',
    activity,
    log: quiet,
    pace,
  });
  const end = new AbortController();
  const ended = prefetcher.follow(end.signal);
  return {
    prefetcher,
    [Symbol.asyncDispose]: () => {
      end.abort(new Error('the test is over'));
      return ended;
    },
  };
}

const isHere = async (digest: string) => {
  const { digests } = await bus.call(missingBlobs, { digests: [digest] });
  return digests.length === 0;
};
const holderOf = async (digest: string) => {
  const { ingests } = await bus.call(storageStatus, {});
  return ingests.find((ingest) => ingest.digest === digest)?.holder;
};
const askedFor = (digest: string) => parent.asked.filter((path) => path.endsWith(digest)).length;

test('what is selected, large enough and not here comes; nothing else is asked for', async () => {
  const [wanted, later] = [blob('app/a'), blob('app/b')];
  const [other, small] = [blob('other'), blob('app/small', 1_000)];
  await using _following = follow();
  parent.tell(other.told, small.told, wanted.told);
  await until(() => isHere(wanted.digest));
  parent.tell(other.told, small.told, wanted.told, later.told);
  await until(() => isHere(later.digest));
  assert.deepEqual(
    [other, small].map(({ digest }) => askedFor(digest)),
    [0, 0],
  );
  assert.equal(askedFor(wanted.digest), 1);
});

test('what failed is begun again when the parent tells something else', async () => {
  const wanted = blob('app/a', 400_000, 'unknown');
  await using _following = follow();
  parent.tell(wanted.told);
  await until(() => askedFor(wanted.digest) > 0);
  await until(async () => (await holderOf(wanted.digest)) === undefined);
  parent.content.set(wanted.digest, wanted.content);
  parent.tell({ ...wanted.told, attempt: 'b2' });
  await until(() => isHere(wanted.digest));
});

test('when the window closes, nothing waits at the parent any more, and what came is given back', async () => {
  hours = { usable: true, live: true, until: Date.now() + patience(750) };
  const wanted = blob('app/a', 400_000, 'nothing');
  parent.tell(wanted.told);
  await using _following = follow();
  await until(async () => (await holderOf(wanted.digest)) === 'early');
  await until(() => parent.waiting.size > 0);
  const closed = once([...parent.waiting][0] as ServerResponse, 'close');
  hours = { usable: false, live: false };
  await closed;
  await until(async () => (await holderOf(wanted.digest)) === undefined);
});

test('a new configuration ends what is under way, and gives it back', async () => {
  const wanted = blob('app/a', 400_000, 'nothing');
  await using following = follow();
  parent.tell(wanted.told);
  await until(async () => (await holderOf(wanted.digest)) === 'early');
  parent.blobs = [];
  parent.cursor += 1;
  following.prefetcher.reconfigured();
  await until(async () => (await holderOf(wanted.digest)) === undefined);
});

test('while nothing comes there, the parent is not asked until somebody has heard that something does', async () => {
  const wanted = blob('app/a');
  await using following = follow();
  const { prefetcher } = following;
  await until(() => parent.waiting.size > 0);
  let told = 0;
  using _told = prefetcher.onIdle(() => {
    told += 1;
  });
  assert.equal(prefetcher.idle, false);
  // The end of a wait in which nothing came.
  for (const one of parent.waiting) parent.answer(one);
  parent.waiting.clear();
  await until(() => prefetcher.idle);
  assert.equal(told, 1);
  const { length } = parent.asked;
  parent.tell(wanted.told);
  assert.equal(parent.asked.length, length);
  prefetcher.begin();
  await until(() => isHere(wanted.digest));
});

test('a parent that names another place each time, and nothing that comes, is not asked as fast as it answers', async () => {
  const brought: string[] = [];
  const pace = {
    after: (_tookMs: number, what: string) => {
      brought.push(what);
      return what === 'new' ? 0 : 1_000_000;
    },
  };
  parent.restless = true;
  const wanted = blob('app/a');
  parent.blobs = [wanted.told];
  await using _following = follow(pace);
  await until(() => brought.length === 2);
  await until(() => isHere(wanted.digest));
  parent.restless = false;
  assert.deepEqual(brought, ['new', 'known']);
  assert.equal(parent.asked.filter((path) => path === ARRIVING_PATH).length, 2);
});
