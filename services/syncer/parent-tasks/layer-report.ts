import { isDeepStrictEqual } from 'node:util';
import type { Bus } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { beneath, fitting } from '#proto/status/layer-reports.ts';
import { type LayerReport, layersBelow } from '#proto/status/layers-below.ts';
import { layersNow, presence } from '#proto/status/presence.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { storageStatus } from '#proto/status/storage-status.ts';

/** What has changed is told again after so long at the earliest, in ms. */
export const MIN_INTERVAL_MS = 5_000;
/** What has not changed is told again so often to a parent that does not know otherwise that this layer is there, in ms. */
const LATEST_MS = 5 * 60_000;

/** How this layer stands, and those below it as they last told. @throws Fault `unavailable` */
export async function layerReports(
  bus: Pick<Bus, 'get' | 'list' | 'call'>,
  { name, mode }: Pick<Configuration, 'name' | 'mode'>,
): Promise<LayerReport[]> {
  const [link, storage, below, present] = await Promise.all([
    bus.get(linkStatus, LINK_KEY),
    bus.call(storageStatus, {}),
    bus.list(layersBelow),
    bus.list(presence),
  ]);
  const now = Date.now();
  const { repositories, tags, blobs, bytes } = storage;
  const own: LayerReport = {
    path: [],
    name,
    mode,
    at: now,
    ...(link && { link: link.value }),
    held: { repositories, tags, blobs, bytes },
  };
  const told = [...below].map(
    ([child, last]) => [child, layersNow(last, present.get(child), now).layers] as const,
  );
  return fitting(own, beneath(told));
}

/** When reports are worth their bytes. */
export class ReportClock {
  #told: LayerReport[] = [];
  #at = Number.NEGATIVE_INFINITY;

  /** @param known the parent knows by other requests that this layer is there */
  isDue(layers: LayerReport[], now: number, known: boolean): boolean {
    const age = now - this.#at;
    if (age >= LATEST_MS && !known) return true;
    return age >= MIN_INTERVAL_MS && this.differs(layers);
  }

  /** From what was last told. */
  differs(layers: LayerReport[]): boolean {
    return !isDeepStrictEqual(layers.map(facts), this.#told.map(facts));
  }

  told(layers: LayerReport[], now: number): void {
    this.#told = layers;
    this.#at = now;
  }
}

/** Without what is otherwise after each pass, where the passes of a layer follow one another the whole time. */
function facts({ at: _at, link, ...rest }: LayerReport) {
  if (!link?.live) return { ...rest, link };
  const { lastSync: _last, next: _next, passes: _passes, ...told } = link;
  return { ...rest, link: told };
}
