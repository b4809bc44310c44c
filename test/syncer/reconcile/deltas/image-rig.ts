import { type HeldDelta, listDeltas, type RefusedDelta } from '#proto/content/deltas.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { DeltaPace } from '../../../../services/syncer/delta/delta-pace.ts';
import { LinkRate } from '../../../../services/syncer/delta/link-rate.ts';
import type {
  AskedDeltas,
  DeltaOffers,
  OfferedDelta,
} from '../../../../services/syncer/link/terrace/parent-deltas.ts';
import {
  ImageDeltas,
  type ImageDeltasDeps,
} from '../../../../services/syncer/reconcile/deltas/image-deltas.ts';
import type { ImageToPull } from '../../../../services/syncer/reconcile/deltas/image-questions.ts';
import { type GatewayRig, sha256 } from '../../../gateway/gateway-rig.ts';
import { quiet } from '../../../support/bus.ts';
import { configurationWith } from '../../../support/configuration.ts';

/** What decides about deltas to the layers of an image, in a layer of its own, below a parent with given answers. */

export const MB = 1_000_000;
const { signal } = new AbortController();
export const [DELTA, OTHER] = [sha256('delta'), sha256('other')];

/** A parent that gives these answers, one after the other, and the last one again. */
export function parentWith(...answers: ((digest: string) => OfferedDelta)[]) {
  const asked: AskedDeltas[] = [];
  const offers: DeltaOffers = {
    areOffered: true,
    roundTripMs: 10,
    async ask(question) {
      asked.push(question);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (!answer) return undefined;
      return new Map(question.wanted.map(({ digest }) => [digest, answer(digest)]));
    },
  };
  return { offers, asked };
}

export const deltaTo = (to: string, from: string[], size = 1_000): HeldDelta => ({
  ...{ to, toSize: MB, from, format: DELTA_FORMAT, kind: 'gzip' },
  ...{ cpuMs: 100, digest: DELTA, size },
});

type Kept = { deltas: HeldDelta[]; refused: RefusedDelta[] };

/** @param rate of the link, in bytes/s */
export async function deltasOf(
  layer: GatewayRig,
  offers: DeltaOffers | undefined,
  {
    rate,
    mode = 'auto',
    kept,
    isPartial = () => false,
    timeMs,
    savedMs = 60_000,
    listeners = new Map(),
    published = [],
  }: {
    rate?: number;
    mode?: 'auto' | 'always' | 'off';
    kept?: Kept;
    isPartial?: ImageDeltasDeps['isPartial'];
    timeMs?: number;
    /** What deltas have saved until now. */
    savedMs?: number;
    /** To be called with the data of an event, by its type. */
    listeners?: Map<string, (event: { data: unknown }) => void>;
    published?: unknown[];
  } = {},
): Promise<ImageDeltas> {
  const clock = { now: 0 };
  const link = new LinkRate(() => clock.now);
  if (rate !== undefined) {
    const blob = { repository: 'a', digest: 'b', size: 10 * MB };
    link.started(blob, 0);
    clock.now = ((10 * MB) / rate) * 1_000;
    link.ended(blob, { complete: true });
  }
  const bus = await layer.testBus.connect('syncer');
  const call = (contract: { subject: string }, query: never, options: never) =>
    kept && contract.subject === listDeltas.subject ? kept : bus.call(contract as never, query, options);
  const configuration = configurationWith({ delta: { mode } });
  if (timeMs !== undefined) configuration.delta.timeMs = timeMs;
  const listen = ({ type }: { type: string }, listener: (event: { data: unknown }) => void) => {
    listeners.set(type, listener);
    return () => listeners.delete(type);
  };
  const publish = (_: unknown, data: unknown) => published.push(data);
  const pace = new DeltaPace({ link, load: () => 0 });
  pace.saved(savedMs);
  return new ImageDeltas({
    bus: { call, listen, publish } as never,
    by: 's',
    volume: layer.gateway.volume,
    configuration,
    log: quiet,
    signal,
    offers,
    pace,
    isPartial,
  });
}

/** An image above, of these layers. */
export function imageOf(digests: string[], similar: string[], sizes: number[] = []): ImageToPull {
  const layers = digests.map((digest, at) => descriptor(digest, sizes[at] ?? MB));
  const document = { schemaVersion: 2, config: descriptor(sha256('config'), 100), layers };
  const manifest = readManifest(Buffer.from(JSON.stringify(document)), mediaTypes.ociManifest);
  const nodes = [{ digest: sha256('image'), manifest, isReferrer: false }];
  return { repository: 'app', nodes, missing: manifest.blobs, similar: () => similar };
}
export const descriptor = (digest: string, size: number): Descriptor => ({ mediaType: 'a/b', digest, size });
