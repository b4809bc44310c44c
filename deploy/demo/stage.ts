import { type Cloud, type CloudKind, startCloud } from './cloud.ts';
import { SlowLink } from './slow-link.ts';
import { WatchedLayer } from './watched-layer.ts';

/** Sizes are bytes, rates bits a second, times ms. */
export type Pace = {
  cloudRate: number;
  layerRate: number;
  base: number;
  application: number;
  update: number;
  recipe: number;
  cutMs: number;
  readMs: number;
  endMs: number;
};

const MBIT = 1_000_000;
const MB = 1_000_000;

export const pace: Pace = {
  cloudRate: 100 * MBIT,
  layerRate: 8 * MBIT,
  base: 3 * MB,
  application: 4 * MB,
  update: 12 * MB,
  recipe: 2 * MB,
  cutMs: 6_000,
  readMs: 2_000,
  endMs: 30_000,
};
/** The same story in seconds. */
export const fastPace: Pace = {
  cloudRate: 400 * MBIT,
  layerRate: 60 * MBIT,
  base: MB / 2,
  application: MB,
  update: 6 * MB,
  recipe: MB / 4,
  cutMs: 500,
  readMs: 0,
  endMs: 0,
};

export type Stage = AsyncDisposable & {
  cloud: Cloud;
  /** From top to bottom. */
  site: WatchedLayer;
  area: WatchedLayer;
  cell: WatchedLayer;
  /** The one between site and area. */
  link: SlowLink;
};

export type StageOptions = {
  cloud: CloudKind;
  pace: Pace;
  /** For the data of all of them. */
  folder: string;
  signal: AbortSignal;
  notice: (text: string) => void;
};

/** A cloud and three layers below it, each reaching the one above over a link of its own. */
export async function setStage({ cloud: kind, pace, ...settings }: StageOptions): Promise<Stage> {
  await using starting = new AsyncDisposableStack();
  const cloud = starting.use(await startCloud(kind, settings));
  let above = cloud.url;
  const below = async (name: string, rate: number) => {
    settings.signal.throwIfAborted();
    const link = starting.use(await SlowLink.to(new URL(above).host, rate));
    const layer = starting.use(await WatchedLayer.start({ ...settings, name, parent: link.url }));
    above = layer.url;
    return { layer, link };
  };
  const site = await below('site', pace.cloudRate);
  const area = await below('area', pace.layerRate);
  const cell = await below('cell', pace.layerRate);
  const layers = { site: site.layer, area: area.layer, cell: cell.layer };
  const ending = starting.move();
  return { cloud, ...layers, link: area.link, [Symbol.asyncDispose]: () => ending[Symbol.asyncDispose]() };
}
