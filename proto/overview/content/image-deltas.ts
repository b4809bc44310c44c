import type { BusCaller, HistoryReader } from '../../bus/roles.ts';
import { type DeltaKind, listDeltas, MAX_WANTED, type RefusedDelta } from '../../content/deltas.ts';
import type { Envelope } from '../../contract/envelope.ts';
import type { Static } from '../../contract/schema.ts';
import { configDigestOf, platformText } from '../../oci/image-config.ts';
import { jsonOf } from '../../oci/manifest.ts';
import { readManifest } from '../../oci/read-manifest.ts';
import { crossingBytes } from '../../sync/crossing.ts';
import type { deltaApplied } from '../../sync/delta-jobs.ts';
import type { transferFinished } from '../../sync/transfers.ts';
import { recentEvents } from '../recent-events.ts';
import { baseNames } from './base-names.ts';
import type { ReadManifestBytes } from './manifest-view.ts';

/** The deltas of an image, for people: what is kept to each of its layers, and how each came here. */

/** Max manifests of an index, and layers of all of them, that are read. */
const MAX_MANIFESTS = 8;
const MAX_LAYERS = 1_000;
/** Max pages of deltas, of 500 each, and of events that are read. */
const MAX_DELTA_PAGES = 40;
const MAX_EVENT_PAGES = 24;

/** A base of a delta. `names`: images of the repository that have it, or had it; none if that is not known. */
export type DeltaBase = { digest: string; names: string[] };

/** `share`: of the size of the target. Times are in ms since 1970. */
export type KeptDelta = {
  digest: string;
  size: number;
  share: number;
  kind: DeltaKind;
  from: DeltaBase[];
  cpuMs: number;
  made: number;
  used: number;
};

/**
 * The last transfer of a layer of an image from the parent, or its delta that a child pushed. `bytes`: those that
 * crossed the link.
 */
export type LayerArrival = {
  at: number;
  by: 'delta' | 'frames' | 'blob';
  bytes: number;
  saved: number;
  cpuMs?: number;
};

export type LayerDeltas = {
  digest: string;
  size: number;
  /** Absent: no retained event names it. A client may have pushed it. */
  arrival?: LayerArrival;
  /** Those that are kept, the smallest first. */
  deltas: KeptDelta[];
  /** Pairs for which none is made. */
  refused: { from: DeltaBase[]; reason: RefusedDelta['reason'] }[];
};

export type ImageDeltas = {
  digest: string;
  /** One for an image; of an index those that are here, the first ones. */
  manifests: { digest: string; platform?: string; layers: LayerDeltas[] }[];
};

type Sources = { bus: BusCaller & HistoryReader; read: ReadManifestBytes };
type Listed = Static<typeof listDeltas.reply>;
type Finished = Static<typeof transferFinished.data>;
type Applied = Static<typeof deltaApplied.data>;

/** @throws Fault `name-unknown`, `manifest-unknown`, `unavailable` */
export async function imageDeltas(
  { bus, read }: Sources,
  repository: string,
  reference: string,
): Promise<ImageDeltas> {
  const { digest, manifests } = await layersOf(read, repository, reference);
  const wanted = [...new Set(manifests.flatMap(({ layers }) => layers.map((layer) => layer.digest)))];
  const [{ deltas, refused }, arrivals] = await Promise.all([
    deltasTo(bus, wanted),
    arrivalsOf(bus, new Set(wanted)),
  ]);
  const bases = new Set([...deltas, ...refused].flatMap(({ from }) => from));
  const names = await baseNames({ bus, read }, repository, bases);
  const named = (from: readonly string[]): DeltaBase[] =>
    from.map((base) => ({ digest: base, names: names.get(base) ?? [] }));
  const withDeltas = ({ digest: to, size }: Layer): LayerDeltas => {
    const arrival = arrivals.get(to);
    return {
      digest: to,
      size,
      ...(arrival && { arrival }),
      deltas: deltas
        .filter((one) => one.to === to)
        .sort((a, b) => a.size - b.size)
        .map((one) => ({
          ...{ digest: one.digest, size: one.size, share: one.toSize > 0 ? one.size / one.toSize : 1 },
          ...{ kind: one.kind, from: named(one.from), cpuMs: one.cpuMs, made: one.made, used: one.used },
        })),
      refused: refused
        .filter((one) => one.to === to)
        .map(({ from, reason }) => ({ from: named(from), reason })),
    };
  };
  return {
    digest,
    manifests: manifests.map((one) => ({ ...one, layers: one.layers.map(withDeltas) })),
  };
}

type Layer = { digest: string; size: number };
type LayeredImage = { digest: string; platform?: string; layers: Layer[] };

async function layersOf(
  read: ReadManifestBytes,
  repository: string,
  reference: string,
): Promise<{ digest: string; manifests: LayeredImage[] }> {
  const { place, bytes } = await read(repository, reference);
  const { blobs, manifests } = readManifest(bytes, place.mediaType);
  if (manifests.length === 0) {
    const config = configDigestOf(jsonOf(bytes));
    const layers = blobs.filter((blob) => blob.digest !== config).slice(0, MAX_LAYERS);
    const own = { digest: place.digest, layers: layers.map(({ digest, size }) => ({ digest, size })) };
    return { digest: place.digest, manifests: [own] };
  }
  const here: LayeredImage[] = [];
  for (const entry of manifests.slice(0, MAX_MANIFESTS)) {
    // A sparse index lacks some.
    const child = await layersOf(read, repository, entry.digest).catch(() => undefined);
    const platform = platformText(entry.platform);
    for (const one of child?.manifests.slice(0, 1) ?? [])
      here.push({ ...one, ...(platform !== undefined && { platform }) });
  }
  return { digest: place.digest, manifests: here };
}

async function deltasTo(bus: BusCaller, wanted: string[]): Promise<Pick<Listed, 'deltas' | 'refused'>> {
  const deltas: Listed['deltas'] = [];
  const refused: RefusedDelta[] = [];
  for (let at = 0; at < wanted.length; at += MAX_WANTED) {
    const to = wanted.slice(at, at + MAX_WANTED);
    let after: string | undefined;
    for (let page = 0; page < MAX_DELTA_PAGES; page += 1) {
      const answer = await bus.call(listDeltas, { to, ...(after !== undefined && { after }) });
      for (const one of answer.deltas) deltas.push(one);
      for (const one of answer.refused) refused.push(one);
      after = answer.next;
      if (after === undefined) break;
    }
  }
  return { deltas, refused };
}

/** The last transfer of each blob, as far as events are retained. */
async function arrivalsOf(
  bus: HistoryReader,
  wanted: ReadonlySet<string>,
): Promise<Map<string, LayerArrival>> {
  const arrivals = new Map<string, LayerArrival>();
  const fits = ({ data }: Envelope, child: string | undefined) => {
    const { digest, direction, held } = (data ?? {}) as Partial<Finished>;
    if (child !== undefined || direction !== 'down' || held) return false;
    return digest !== undefined && wanted.has(digest);
  };
  const query = { subject: 'events.transfer.finished', limit: 2 * wanted.size, fits };
  const { events } = await recentEvents(bus, { ...query, maxPages: MAX_EVENT_PAGES });
  for (const { time, event } of events) {
    const data = event.data as Finished;
    // Newest first.
    if (!arrivals.has(data.digest)) arrivals.set(data.digest, arrivalOf(time, data));
  }
  await addPushed(bus, wanted, arrivals);
  return arrivals;
}

/** Adds what children pushed as deltas. Those that came from the parent are known by their transfers. */
async function addPushed(
  bus: HistoryReader,
  wanted: ReadonlySet<string>,
  arrivals: Map<string, LayerArrival>,
): Promise<void> {
  const fits = ({ data }: Envelope, child: string | undefined) => {
    const { to } = (data ?? {}) as Partial<Applied>;
    return child === undefined && to !== undefined && wanted.has(to) && !arrivals.has(to);
  };
  const query = { subject: 'events.delta.applied', limit: 2 * wanted.size, fits };
  const { events } = await recentEvents(bus, { ...query, maxPages: MAX_EVENT_PAGES });
  for (const { time: at, event } of events) {
    const { to, toSize, size, cpuMs } = event.data as Applied;
    const saved = Math.max(0, toSize - size);
    if (!arrivals.has(to)) arrivals.set(to, { at, by: 'delta', bytes: size, saved, cpuMs });
  }
}

function arrivalOf(at: number, data: Finished): LayerArrival {
  const { saved } = data;
  return {
    ...{ at, by: saved?.by ?? 'blob', bytes: crossingBytes(data), saved: saved?.bytes ?? 0 },
    ...(saved?.cpuMs !== undefined && { cpuMs: saved.cpuMs }),
  };
}
