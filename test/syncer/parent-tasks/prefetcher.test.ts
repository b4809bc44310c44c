import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { ARRIVING_PATH, type ArrivingBlob, type ArrivingDelta } from '#proto/content/arriving.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { DeltaMode } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Volume } from '#proto/volume/volume.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';
import { DeltaPace } from '../../../services/syncer/delta/delta-pace.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { ParentArriving } from '../../../services/syncer/link/terrace/arriving.ts';
import { ParentDeltas } from '../../../services/syncer/link/terrace/parent-deltas.ts';
import { Prefetcher, type PrefetcherDeps } from '../../../services/syncer/parent-tasks/prefetcher.ts';
import type { LinkUse } from '../../../services/syncer/schedule/link-schedule.ts';
import type { DeltaApplier } from '../../../services/syncer/transfer/pieces/delta-applier.ts';
import { GatewayRig, sha256 } from '../../gateway/gateway-rig.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { serveHttp } from '../../support/http-server.ts';
import { pushImage } from '../../support/registry/image.ts';
import { patience, until } from '../../support/until.ts';

/** When a prefetch begins and how it ends, below a test parent. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const bus = await layer.testBus.connect('syncer');

/** The arriving blobs that the parent reports, the content that it has, and the requests that wait for a change. */
const parent = {
  cursor: 1,
  blobs: [] as ArrivingBlob[],
  deltas: [] as ArrivingDelta[],
  content: new Map<string, Buffer>(),
  requests: [] as string[],
  waiting: new Set<ServerResponse>(),
  /** Each answer has another cursor. */
  restless: false,
  report(...blobs: ArrivingBlob[]): void {
    this.reportDeltas([], blobs);
  },
  reportDeltas(deltas: ArrivingDelta[], blobs: ArrivingBlob[] = []): void {
    this.cursor += 1;
    this.blobs = blobs;
    this.deltas = deltas;
    for (const response of this.waiting) this.answer(response);
    this.waiting.clear();
  },
  answer(response: ServerResponse): void {
    if (this.restless) this.cursor += 1;
    const { blobs, deltas } = this;
    response.end(JSON.stringify({ cursor: this.cursor.toString(16), blobs, deltas }));
  },
};
const server = await serveHttp(({ url = '', headers }, response) => {
  const { pathname, searchParams } = new URL(url, 'http://parent');
  parent.requests.push(pathname);
  if (pathname === ARRIVING_PATH) {
    const isOther = parent.restless || searchParams.get('after') !== parent.cursor.toString(16);
    if (isOther) return parent.answer(response);
    return parent.waiting.add(response);
  }
  const content = parent.content.get(pathname.slice(pathname.lastIndexOf('/') + 1));
  if (!content) return response.writeHead(404).end();
  if (content.length === 0) return response.writeHead(204).end();
  const [, first, last] = (/bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? []).map(Number);
  const range = { 'content-range': `bytes ${first}-${last}/${content.length}` };
  return response.writeHead(206, range).end(content.subarray(first, Number(last) + 1));
});
const link = new ParentLink({ url: server.url });
after(async () => {
  await link[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

let linkUse: LinkUse;
beforeEach(() => {
  linkUse = { usable: true, live: true };
  parent.requests = [];
  parent.report();
});

/** @param atParent how much of the content the parent has */
function blob(repository: string, size = 400_000, atParent: 'all' | 'nothing' | 'unknown' = 'all') {
  const content = randomBytes(size);
  const digest = sha256(content);
  if (atParent !== 'unknown') parent.content.set(digest, atParent === 'all' ? content : Buffer.alloc(0));
  return { entry: { repository, digest, size, attempt: 'a1' }, content, digest };
}

/** Targets of deltas; one is applied by writing it. */
const targets = new Map<string, Buffer>();
let applied = 0;
const applier: DeltaApplier = {
  async applyInto({ delta, target: { file, log } }) {
    applied += 1;
    const content = targets.get(delta.to);
    if (!content) throw new Fault('delta-invalid', 'other bytes');
    await file.write([content], 0);
    await log.append({ start: 0, end: content.length, crc: crc32(content) });
    return { hashed: delta.to, cpuMs: 1, ms: 1 };
  },
};

/** A delta of `bases` that the parent receives, and its target. */
function deltaOf(repository: string, bases: string[], isRight = true) {
  const { entry, content, digest } = blob(repository, 400_000, 'unknown');
  if (isRight) targets.set(digest, content);
  const own = blob(repository, 1_000);
  const delta = {
    to: digest,
    toSize: content.length,
    from: bases,
    format: 1,
    kind: 'raw' as const,
    cpuMs: 1,
  };
  return { target: entry, digest, entry: { ...own.entry, delta }, own: own.digest };
}

function follow(pace: PrefetcherDeps['pace'] = { after: () => 0 }, mode: DeltaMode = 'auto') {
  const arriving = new ParentArriving(link);
  const settings = {
    get: () => ({
      ...configurationWith({ repositories: ['app/*'], delta: { mode } }),
      parent: { url: 'http://parent' },
    }),
    clients: async () => ({ arriving, deltas: new ParentDeltas(link, { deltas: [1] }) }),
    bandwidth: UNLIMITED as never,
  };
  const { promise: passEnded, resolve: endPass } = Promise.withResolvers<void>();
  const changeCursor = { cursor: '1.a', passEnded };
  const volume = new Volume(layer.data);
  const activity = {
    counters: new TransferCounters(),
    moved() {},
    begin: () => ({
      crosses() {},
      attempts() {},
      reached() {},
      copied() {},
      waits() {},
      [Symbol.dispose]() {},
    }),
  };
  const prefetcher = new Prefetcher({
    bus,
    volume,
    settings,
    changeCursor,
    link: () => linkUse,
    by: 'prefetch',
    activity,
    deltaPace: new DeltaPace(),
    applier,
    log: quiet,
    pace,
  });
  const end = new AbortController();
  const ended = prefetcher.run(end.signal);
  return {
    prefetcher,
    endPass,
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
const requestsFor = (digest: string) => parent.requests.filter((path) => path.endsWith(digest)).length;

test('only blobs that are selected, large enough and missing are prefetched', async () => {
  const [selected, later] = [blob('app/a'), blob('app/b')];
  const [other, small] = [blob('other'), blob('app/small', 1_000)];
  await using _following = follow();
  parent.report(other.entry, small.entry, selected.entry);
  await until(() => isHere(selected.digest));
  parent.report(other.entry, small.entry, selected.entry, later.entry);
  await until(() => isHere(later.digest));
  assert.deepEqual(
    [other, small].map(({ digest }) => requestsFor(digest)),
    [0, 0],
  );
  assert.equal(requestsFor(selected.digest), 1);
});

test('a failed prefetch is retried when the parent reports another attempt', async () => {
  const selected = blob('app/a', 400_000, 'unknown');
  await using _following = follow();
  parent.report(selected.entry);
  await until(() => requestsFor(selected.digest) > 0);
  await until(async () => (await holderOf(selected.digest)) === undefined);
  parent.content.set(selected.digest, selected.content);
  parent.report({ ...selected.entry, attempt: 'b2' });
  await until(() => isHere(selected.digest));
});

test('when the window closes, the long poll ends and the claim is released', async () => {
  linkUse = { usable: true, live: true, until: Date.now() + patience(750) };
  const selected = blob('app/a', 400_000, 'nothing');
  parent.report(selected.entry);
  await using _following = follow();
  await until(async () => (await holderOf(selected.digest)) === 'prefetch');
  await until(() => parent.waiting.size > 0);
  const closed = once([...parent.waiting][0] as ServerResponse, 'close');
  linkUse = { usable: false, live: false };
  await closed;
  await until(async () => (await holderOf(selected.digest)) === undefined);
});

test('a new configuration ends the running prefetch and releases its claim', async () => {
  const selected = blob('app/a', 400_000, 'nothing');
  await using following = follow();
  parent.report(selected.entry);
  await until(async () => (await holderOf(selected.digest)) === 'prefetch');
  parent.blobs = [];
  parent.cursor += 1;
  following.prefetcher.reconfigured();
  await until(async () => (await holderOf(selected.digest)) === undefined);
});

test('an idle prefetcher sends no request until it is woken', async () => {
  const selected = blob('app/a');
  await using following = follow();
  const { prefetcher } = following;
  await until(() => parent.waiting.size > 0);
  let idleCount = 0;
  using _listener = prefetcher.onIdle(() => {
    idleCount += 1;
  });
  assert.equal(prefetcher.idle, false);
  // The long poll ends without arriving blobs.
  for (const response of parent.waiting) parent.answer(response);
  parent.waiting.clear();
  await until(() => prefetcher.idle);
  assert.equal(idleCount, 1);
  const { length } = parent.requests;
  parent.report(selected.entry);
  assert.equal(parent.requests.length, length);
  prefetcher.begin();
  await until(() => isHere(selected.digest));
});

test('a parent whose cursor changes without new blobs is not polled as fast as it answers', async () => {
  const contents: string[] = [];
  const pace = {
    after: (_tookMs: number, content: string) => {
      contents.push(content);
      return content === 'new' ? 0 : 1_000_000;
    },
  };
  parent.restless = true;
  const selected = blob('app/a');
  parent.blobs = [selected.entry];
  await using _following = follow(pace);
  await until(() => contents.length === 2);
  await until(() => isHere(selected.digest));
  parent.restless = false;
  assert.deepEqual(contents, ['new', 'known']);
  assert.equal(parent.requests.filter((path) => path === ARRIVING_PATH).length, 2);
});

test('a delta whose bases are here is pulled while the parent receives it, and makes its target', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const [usable, other] = [deltaOf('app/a', [base.digest]), deltaOf('app/a', [sha256('not here')])];
  parent.reportDeltas([other.entry, usable.entry]);
  await until(() => isHere(usable.digest));
  assert.ok(await isHere(usable.own));
  assert.equal(requestsFor(usable.digest), 0);
  assert.equal(requestsFor(other.own), 0);
});

test('a delta that can not be applied is not tried again, and its target comes if it arrives itself', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const before = applied;
  const wrong = deltaOf('app/a', [base.digest], false);
  parent.reportDeltas([wrong.entry]);
  await until(() => applied === before + 1);
  await until(async () => (await holderOf(wrong.digest)) === undefined);
  const next = blob('app/a');
  parent.reportDeltas([{ ...wrong.entry, attempt: 'b2' }], [next.entry]);
  await until(() => isHere(next.digest));
  assert.equal(applied, before + 1);
  assert.ok(!(await isHere(wrong.digest)));
});

test('a blob that the parent makes of a delta is pulled as that delta where its bases are, and itself elsewhere', async () => {
  const base = blob('app/a');
  await using _following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const here = deltaOf('app/a', [base.digest]);
  const elsewhere = deltaOf('app/a', [sha256('not here')]);
  parent.content.set(elsewhere.digest, targets.get(elsewhere.digest) as Buffer);
  parent.reportDeltas([here.entry, elsewhere.entry], [here.target, elsewhere.target]);
  await until(async () => (await isHere(here.digest)) && (await isHere(elsewhere.digest)));
  assert.deepEqual(
    [here, elsewhere].map(({ digest }) => requestsFor(digest) > 0),
    [false, true],
  );
  assert.deepEqual(
    [here, elsewhere].map(({ own }) => requestsFor(own) > 0),
    [true, false],
  );
});

test('with delta.mode always, a blob that the parent gets in full is left to the pass where an image is here', async () => {
  await pushImage(`127.0.0.1:${layer.port}`, 'app/held', '1');
  await using _following = follow(undefined, 'always');
  const [awaited, first] = [blob('app/held'), blob('app/first')];
  parent.report(awaited.entry, first.entry);
  await until(() => isHere(first.digest));
  assert.deepEqual([requestsFor(awaited.digest), await isHere(awaited.digest)], [0, false]);
  const base = blob('app/first');
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const delta = deltaOf('app/held', [base.digest]);
  parent.reportDeltas([delta.entry], [delta.target]);
  await until(() => isHere(delta.digest));
});

test('a delta whose pull was ended is pulled when it is reported again, and its target is left to the pass', async () => {
  const base = blob('app/a');
  await using following = follow();
  parent.report(base.entry);
  await until(() => isHere(base.digest));
  const delta = deltaOf('app/a', [base.digest]);
  const bytes = parent.content.get(delta.own) as Buffer;
  parent.content.set(delta.own, Buffer.alloc(0));
  const pause = new AbortController();
  linkUse = { ...linkUse, interrupted: pause.signal };
  parent.reportDeltas([delta.entry]);
  await until(async () => (await holderOf(delta.own)) === 'prefetch');
  linkUse = { usable: true, live: true };
  pause.abort(new Fault('paused', 'the link is paused'));
  following.endPass();
  await until(async () => (await holderOf(delta.own)) === undefined);
  // The parent has all of the delta, and makes its target.
  const other = blob('app/b');
  parent.content.set(delta.digest, targets.get(delta.digest) as Buffer);
  parent.report(delta.target, other.entry);
  await until(() => isHere(other.digest));
  assert.equal(requestsFor(delta.digest), 0);
  parent.content.set(delta.own, bytes);
  parent.reportDeltas([delta.entry], [delta.target]);
  await until(() => isHere(delta.digest));
  assert.equal(requestsFor(delta.digest), 0);
});
