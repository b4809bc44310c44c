import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { after, beforeEach } from 'node:test';
import { crc32 } from 'node:zlib';
import { ARRIVING_PATH, type ArrivingBlob, type ArrivingDelta } from '#proto/content/arriving.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { DeltaMode } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Volume } from '#proto/volume/volume.ts';
import { DeltaPace } from '../../../services/syncer/delta/delta-pace.ts';
import { LinkRate } from '../../../services/syncer/delta/link-rate.ts';
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
import { quietActivity } from '../transfer/quiet-activity.ts';

/** A prefetcher below a test parent. */

export const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
export const bus = await layer.testBus.connect('syncer');

/** The arriving blobs that the parent reports, the content that it has, and the requests that wait for a change. */
export const parent = {
  cursor: 1,
  blobs: [] as ArrivingBlob[],
  deltas: [] as ArrivingDelta[],
  content: new Map<string, Buffer>(),
  requests: [] as string[],
  linkUse: { usable: true, live: true } as LinkUse,
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

beforeEach(() => {
  parent.linkUse = { usable: true, live: true };
  parent.requests = [];
  parent.report();
});

/** @param atParent how much of the content the parent has */
export function blob(repository: string, size = 400_000, atParent: 'all' | 'nothing' | 'unknown' = 'all') {
  const content = randomBytes(size);
  const digest = sha256(content);
  if (atParent !== 'unknown') parent.content.set(digest, atParent === 'all' ? content : Buffer.alloc(0));
  return { entry: { repository, digest, size, attempt: 'a1' }, content, digest };
}

/** Targets of deltas; one is applied by writing it. */
export const targets = new Map<string, Buffer>();
export let applied = 0;
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
export function deltaOf(repository: string, bases: string[], isRight = true) {
  const { entry, content, digest } = blob(repository, 400_000, 'unknown');
  if (isRight) targets.set(digest, content);
  const own = blob(repository, 1_000);
  const delta = {
    to: digest,
    toSize: content.length,
    from: bases,
    format: DELTA_FORMAT,
    kind: 'raw' as const,
    cpuMs: 1,
  };
  return { target: entry, digest, entry: { ...own.entry, delta }, own: own.digest };
}

/** @param rate of the link, in bytes/s; undefined: it is unknown */
export function follow(
  pace: PrefetcherDeps['pace'] = { after: () => 0 },
  mode: DeltaMode = 'auto',
  rate?: number,
) {
  const linkRate = new LinkRate();
  linkRate.inherit(rate);

  const arriving = new ParentArriving(link);
  const settings = {
    get: () => ({
      ...configurationWith({ repositories: ['app/*'], delta: { mode } }),
      parent: { url: 'http://parent' },
    }),
    clients: async () => ({ arriving, deltas: new ParentDeltas(link, { deltas: [DELTA_FORMAT] }) }),
    bandwidth: UNLIMITED as never,
  };
  const { promise: passEnded, resolve: endPass } = Promise.withResolvers<void>();
  const changeCursor = { cursor: '1.a', passEnded };
  const volume = new Volume(layer.data);
  const activity = quietActivity();
  const prefetcher = new Prefetcher({
    bus,
    volume,
    settings,
    changeCursor,
    link: () => parent.linkUse,
    by: 'prefetch',
    activity,
    deltaPace: new DeltaPace({ link: linkRate, load: () => 0 }),
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

export const isHere = async (digest: string) => {
  const { digests } = await bus.call(missingBlobs, { digests: [digest] });
  return digests.length === 0;
};
export const holderOf = async (digest: string) => {
  const { ingests } = await bus.call(storageStatus, {});
  return ingests.find((ingest) => ingest.digest === digest)?.holder;
};
export const requestsFor = (digest: string) => parent.requests.filter((path) => path.endsWith(digest)).length;
