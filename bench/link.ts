import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import {
  type Congestion,
  compileEmulator,
  emulationFailure,
  idealSeconds,
  type LinkConditions,
  PAYLOAD,
} from './link/emulated-link.ts';
import { type Contender, type LinkSource, secondsOverLink } from './link/sync-over-link.ts';
import { alternate, type Comparison, median, type Options, type Subject } from './measure.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const MIB = 1024 * 1024;
/** Sizes of the layers of an image, as shares of it. */
const LAYERS = [0.5, 0.25, 0.15, 0.08, 0.02];
const CONTENDERS: Contender[] = ['terrace', 'skopeo sync'];
const CONGESTION: Congestion[] = ['cubic', 'bbr'];

/** A bad link, with images of these sizes, in MiB. */
const BAD_LINK = { mbit: 5, delayMs: 300, lossPercent: 1 };
const BAD_LINK_MIB = [40, 100];

/** The grid: rates in Mbit/s, delays of each direction in ms, losses of each direction in percent. */
const GRID = { mbit: [1, 10, 100, 1_000], delayMs: [0, 50, 300], lossPercent: [0, 1, 2] };
/** An image of the grid takes about this time, in seconds, within bounds of its size, in MiB. */
const GRID_SECONDS = 8;
const GRID_MIB = { min: 2, max: 256 };
/** Connections of a layer, each of which a lossy link limits. */
const CONNECTIONS = 32;

/**
 * Images over emulated links (`link/emulate-link.c`) from a docker-registry: into an empty layer, and with skopeo. On a
 * bad link with each congestion control; then on a grid of links.
 */
export const link: Subject = async (options) => {
  const failure = emulationFailure();
  if (failure) {
    console.log(`link: not measured: ${failure}\n`);
    return [];
  }
  await using folder = await TemporaryFolder.create();
  const place = { program: compileEmulator(folder.path), folder: folder.path };
  await using cloud = await startCloud();
  const sources = new Map<number, LinkSource>();
  const sourceOf = async (mib: number): Promise<LinkSource> => {
    const known = sources.get(mib);
    if (known) return known;
    const layers = LAYERS.map((share) => Math.round(share * mib * MIB));
    const repository = `link/image-${mib}`;
    await pushImage(cloud.url, repository, 'v1', { layers });
    const source = { cloud, repository, bytes: layers.reduce((sum, layer) => sum + layer, 0) };
    sources.set(mib, source);
    return source;
  };
  const comparisons: Comparison[] = [];
  for (const { conditions, mib } of [...badLinks(), ...grid(options)]) {
    const source = await sourceOf(mib);
    const subject = `${mib} MiB over ${textOf(conditions)}`;
    const contenders = CONTENDERS.map((name) => ({
      name,
      run: () => secondsOverLink(name, source, conditions, place),
    }));
    const values = await alternate(options, subject, contenders);
    const ideal = idealSeconds(source.bytes, conditions);
    const shares = Object.entries(values).map(([name, rounds]) => `${name} ${shareOf(ideal, rounds)}`);
    const notes = [`The link needs ${ideal.toFixed(1)} s. Used of it: ${shares.join(', ')}.`];
    comparisons.push({ subject, unit: 's', better: 'less', values, notes });
  }
  return comparisons;
};

type Case = { conditions: LinkConditions; mib: number };

const badLinks = (): Case[] =>
  BAD_LINK_MIB.flatMap((mib) =>
    CONGESTION.map((congestion) => ({ mib, conditions: { ...BAD_LINK, congestion } })),
  );

/** With `--small`, only its corners. */
function grid({ full }: Options): Case[] {
  const values = (list: number[]) => (full ? list : [list[0]!, list.at(-1)!]);
  const cases: Case[] = [];
  for (const mbit of values(GRID.mbit))
    for (const delayMs of values(GRID.delayMs))
      for (const lossPercent of values(GRID.lossPercent))
        for (const congestion of CONGESTION) {
          const conditions = { mbit, delayMs, lossPercent, congestion };
          cases.push({ mib: gridMib(conditions), conditions });
        }
  return cases;
}

/** Size of an image of the grid, in MiB. */
function gridMib({ mbit, delayMs, lossPercent }: LinkConditions): number {
  const link = (mbit * 1e6) / 8;
  const carried = Math.min(link, CONNECTIONS * lossyRate(delayMs, lossPercent)) * GRID_SECONDS;
  return Math.min(GRID_MIB.max, Math.max(GRID_MIB.min, Math.round(carried / MIB)));
}

/** Bytes/s of one connection with cubic or older congestion control, by the formula of Mathis et al. (1997). */
function lossyRate(delayMs: number, lossPercent: number): number {
  const roundTripS = Math.max(1, 2 * delayMs) / 1_000;
  return (PAYLOAD / roundTripS) * Math.sqrt(1.5 / (lossPercent / 100));
}

/** How the medians compare with what the link needs. */
const shareOf = (ideal: number, rounds: readonly number[]): string =>
  Number.isFinite(median(rounds)) ? `${((100 * ideal) / median(rounds)).toFixed(1)} %` : 'stopped';

const textOf = ({ mbit, delayMs, lossPercent, congestion }: LinkConditions): string =>
  `${mbit} Mbit/s, ${delayMs} ms and ${lossPercent} % loss each way, ${congestion}`;
