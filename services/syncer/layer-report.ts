import { isDeepStrictEqual } from 'node:util';
import { type LayerReport, layersBelow } from '#proto/below.ts';
import type { Bus } from '#proto/bus.ts';
import type { Configuration } from '#proto/configuration.ts';
import { beneath, fitting } from '#proto/layer-reports.ts';
import { storageStatus } from '#proto/manifests.ts';
import { LINK_KEY, linkStatus } from '#proto/status.ts';

/** What has changed is told again after so long at the earliest, and what has not after so long at the latest, in ms. */
export const EARLIEST_MS = 5_000;
const LATEST_MS = 5 * 60_000;

/** How this layer stands, and those below it as they last told. @throws Fault `unavailable` */
export async function layerReports(
  bus: Pick<Bus, 'get' | 'list' | 'call'>,
  { name, mode }: Pick<Configuration, 'name' | 'mode'>,
): Promise<LayerReport[]> {
  const [link, storage, below] = await Promise.all([
    bus.get(linkStatus, LINK_KEY),
    bus.call(storageStatus, {}),
    bus.list(layersBelow),
  ]);
  const { repositories, tags, blobs, bytes } = storage;
  const own: LayerReport = {
    path: [],
    name,
    mode,
    at: Date.now(),
    ...(link && { link: link.value }),
    held: { repositories, tags, blobs, bytes },
  };
  return fitting(own, beneath([...below].map(([child, { layers }]) => [child, layers] as const)));
}

/** When reports are worth their bytes. */
export class ReportClock {
  #told: LayerReport[] = [];
  #at = Number.NEGATIVE_INFINITY;

  isDue(layers: LayerReport[], now: number): boolean {
    const age = now - this.#at;
    if (age >= LATEST_MS) return true;
    return age >= EARLIEST_MS && this.differs(layers);
  }

  /** From what was last told. */
  differs(layers: LayerReport[]): boolean {
    const facts = (all: LayerReport[]) => all.map(({ at: _at, ...rest }) => rest);
    return !isDeepStrictEqual(facts(layers), facts(this.#told));
  }

  told(layers: LayerReport[], now: number): void {
    this.#told = layers;
    this.#at = now;
  }
}
