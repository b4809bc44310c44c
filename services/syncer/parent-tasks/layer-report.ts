import { isDeepStrictEqual } from 'node:util';
import type { BusCaller, StateLister, StateReader } from '#proto/bus/roles.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { syncFigure } from '#proto/overview/sync-state.ts';
import { fitReport, prefixPaths } from '#proto/status/layer-reports.ts';
import { type LayerReport, layersBelow, MAX_EVENTS } from '#proto/status/layers-below.ts';
import { currentLayers, presence } from '#proto/status/presence.ts';
import { LINK_KEY, linkStatus, syncerStatus } from '#proto/status/status.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';

/** Min interval between reports of a changed status, in ms. */
export const MIN_INTERVAL_MS = 5_000;
/** Max interval between reports, in ms, unless the parent knows by other requests that this layer is present. */
const MAX_INTERVAL_MS = 5 * 60_000;

/** Status of this layer, and last reported status of the layers below it. @throws Fault `unavailable` */
export async function readLayerReports(
  bus: StateReader & StateLister & BusCaller,
  configuration: Configuration,
): Promise<LayerReport[]> {
  const [link, syncers, storage, below, present] = await Promise.all([
    bus.get(linkStatus, LINK_KEY),
    bus.list(syncerStatus),
    bus.call(storageStatus, {}),
    bus.list(layersBelow),
    bus.list(presence),
  ]);
  const now = Date.now();
  const { name, mode } = configuration;
  const { repositories, tags, blobs, bytes } = storage;
  const sources = {
    configuration,
    storage,
    syncers: [...syncers.values()],
    ...(link && { link: link.value }),
  };
  const sync = syncFigure(sources, now);
  const self: LayerReport = {
    path: [],
    name,
    mode,
    at: now,
    ...(link && { link: link.value }),
    ...(sync && { sync }),
    held: { repositories, tags, blobs, bytes },
  };
  const reports = [...below].map(
    ([child, last]) => [child, currentLayers(last, present.get(child), now).layers] as const,
  );
  return fitReport(self, prefixPaths(reports));
}

/** Decides when a report is due. */
export class ReportClock {
  #last: LayerReport[] = [];
  #at = Number.NEGATIVE_INFINITY;
  readonly #intervalMs: number;

  /** @param intervalMs min interval between reports of a changed status */
  constructor(intervalMs = MIN_INTERVAL_MS) {
    this.#intervalMs = intervalMs;
  }

  /** @param known the parent knows by other requests that this layer is present */
  isDue(layers: LayerReport[], now: number, known: boolean): boolean {
    // The clock may have been set back.
    const age = Math.abs(now - this.#at);
    if (age >= MAX_INTERVAL_MS && !known) return true;
    return age >= this.#intervalMs && this.differs(layers);
  }

  /** Whether the status differs from the last report. */
  differs(layers: LayerReport[]): boolean {
    return !isDeepStrictEqual(layers.map(facts), this.#last.map(facts));
  }

  sent(layers: LayerReport[], now: number): void {
    this.#last = layers;
    this.#at = now;
  }
}

/** The fields that count as a change: while the link is live, those that change with every pass do not. */
function facts({ at: _at, link, sync, waiting = 0, ...other }: LayerReport) {
  const figure = sync && factsOfSync(sync);
  // Some events always wait: whole batches of them show that the layer lags behind.
  const rest = { ...other, batches: Math.floor(waiting / MAX_EVENTS) };
  if (!link?.live) return { ...rest, link, figure };
  const { lastSync: _last, comparedAt: _compared, next: _next, passes: _passes, ...stable } = link;
  return { ...rest, link: stable, figure };
}

/** While bytes arrive, their number counts as changed each time that its first digit does. */
function factsOfSync({ asOf: _asOf, until: _until, rate: _rate, behind, ...rest }: SyncFigure) {
  return { ...rest, behind: { ...behind, bytes: Number(behind.bytes.toPrecision(1)) } };
}
