import { hostname } from 'node:os';
import { within } from '../async/within.ts';
import type { Bus } from '../bus/bus.ts';
import type { Unreadable } from '../bus/states.ts';
import { Fault } from '../contract/fault.ts';
import { formatSeconds } from '../contract/quantity-text.ts';
import { serviceNames } from '../contract/users.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '../document/configuration.ts';
import { isAlive } from '../process/process-stat.ts';
import { HISTORY_KEY, type HistoryStatus, historyStatus } from '../status/history-status.ts';
import { type ChildReport, type LayerReport, layersBelow } from '../status/layers-below.ts';
import { currentLayers, type Presence, presence } from '../status/presence.ts';
import {
  alive,
  type BridgeStatus,
  bridgeStatus,
  COORDINATOR_KEY,
  LINK_KEY,
  type LinkStatus,
  lease,
  linkStatus,
  SAVINGS_KEY,
  type Savings,
  type ServiceStatus,
  type SyncerStatus,
  savedTotals,
  serviceStatus,
  syncerStatus,
} from '../status/status.ts';
import { type StorageStatus, storageStatus } from '../status/storage-status.ts';
import { type WebhookStatus, webhookStatus } from '../status/webhooks.ts';
import { listParked, type Parked } from '../sync/outgoing.ts';
import type { SyncFigure } from '../sync/sync-figure.ts';
import { type NatsServer, natsServer } from './nats-advisories.ts';
import { savingsIn } from './savings.ts';
import { syncFigure } from './sync-state.ts';

/**
 * The figures of a layer, read over the bus: one source for the command line, the API, the page, metrics and the twin.
 * `layerStatus` reads everything at one moment, `problemsOf` (problems.ts) says what of it needs a person,
 * sync-state.ts how the layer stands against its parent, last-known.ts as of when the figure of a layer below holds,
 * and nats-advisories.ts judges the version of the server of the bus.
 */

/** The status of a layer and its services. What no service answered is left out. */
export type LayerStatus = {
  services: ServiceStatus[];
  /** Each syncer with its transfers. */
  syncers: SyncerStatus[];
  configuration?: Configuration;
  bridge?: BridgeStatus;
  link?: LinkStatus;
  /** How the layer stands against its parent. */
  sync?: SyncFigure;
  /** What deltas and frames saved on the link. */
  savings?: Savings;
  coordinator?: string;
  storage?: StorageStatus;
  /** Changes that the parent refused, sorted by repository and reference. */
  parked?: Parked[];
  /** The layers below as of their last reports; `child` sent the report, and was last seen at the time `seen`. */
  below?: (LayerReport & { child: string; seen: number })[];
  /** Events that the parent refuses. */
  history?: HistoryStatus;
  /** State entries that can't be read; their content is missing here. */
  unreadable?: Unreadable[];
  /** Sorted by name. */
  webhooks?: WebhookStatus[];
  /** The server of the layer's bus. */
  natsServer?: NatsServer;
  /** The services that did not answer. */
  silent: string[];
};

export type StatusOptions = {
  /** Without the list of parked changes, which may be long. */
  withoutParked?: boolean;
  /** Max parked changes to read. Default: all. */
  maxParked?: number;
  /** What is not answered within this time counts as not answered, in ms. Default: the limits of the bus. */
  withinMs?: number;
};

export async function layerStatus(
  bus: Bus,
  { withoutParked = false, maxParked = Number.POSITIVE_INFINITY, withinMs }: StatusOptions = {},
): Promise<LayerStatus> {
  const silent: string[] = [];
  const answer = <T>(service: string, request: Promise<T>): Promise<T | undefined> =>
    request.catch(() => {
      silent.push(service);
      return undefined;
    });
  const timely = <T>(reading: Promise<T>) => (withinMs === undefined ? reading : inTime(reading, withinMs));
  const [
    services,
    syncers,
    inForce,
    link,
    holder,
    storage,
    bridge,
    below,
    presences,
    webhooks,
    history,
    saved,
  ] = await Promise.all([
    servicesOf(bus, timely),
    timely(bus.list(syncerStatus)).catch(() => new Map<string, SyncerStatus>()),
    timely(bus.get(configuration, CONFIGURATION_KEY)).catch(() => undefined),
    timely(bus.get(linkStatus, LINK_KEY)).catch(() => undefined),
    timely(bus.get(lease, COORDINATOR_KEY)).catch(() => undefined),
    answer('storage', timely(bus.call(storageStatus, {}, { patience: 1_000 }))),
    answer('twin-bridge', timely(bus.call(bridgeStatus, {}, { patience: 1_000 }))),
    timely(bus.list(layersBelow)).catch(() => new Map<string, ChildReport>()),
    timely(bus.list(presence)).catch(() => new Map<string, Presence>()),
    timely(bus.list(webhookStatus)).catch(() => new Map<string, WebhookStatus>()),
    timely(bus.get(historyStatus, HISTORY_KEY)).catch(() => undefined),
    timely(bus.get(savedTotals, SAVINGS_KEY)).catch(() => undefined),
  ]);
  const answered = new Set(withoutDead(services).map(({ service }) => service));
  for (const name of serviceNames) if (!answered.has(name) && !silent.includes(name)) silent.push(name);
  const isListed = !withoutParked && storage?.outgoing.parked;
  const parked = isListed ? await parkedOf(bus, maxParked).catch(() => undefined) : undefined;
  const unreadable = bus.unreadable();
  const sources = {
    syncers: withoutDead(syncers),
    ...(inForce && { configuration: inForce.value }),
    ...(link && inForce?.value.parent && { link: link.value }),
    ...(storage && { storage }),
  };
  const sync = syncFigure(sources, Date.now());
  const savings = savingsIn(saved?.value, sources.syncers);
  return {
    ...sources,
    ...(sync && { sync }),
    ...(savings && { savings }),
    services: withoutDead(services),
    ...(bridge && { bridge }),
    ...(holder && { coordinator: holder.value.holder }),
    ...(parked && { parked }),
    ...(below.size > 0 && { below: flattenReports(below, presences) }),
    ...(history && inForce?.value.parent && { history: history.value }),
    ...(unreadable.length > 0 && { unreadable }),
    ...(webhooks.size > 0 && { webhooks: sortWebhooks(webhooks) }),
    natsServer: natsServer(bus.serverVersion()),
    silent,
  };
}

type Timely = <T>(reading: Promise<T>) => Promise<T>;

/** @throws Fault `unavailable` if there is no answer in time */
async function inTime<T>(reading: Promise<T>, ms: number): Promise<T> {
  const answer = await within(
    reading.then((value) => ({ value })),
    ms,
  );
  if (!answer) throw new Fault('unavailable', `no answer within ${formatSeconds(ms)}`);
  return answer.value;
}

/** Without storage there are no states: each service is then queried directly, and one of its processes answers. */
async function servicesOf(bus: Bus, timely: Timely): Promise<Map<string, ServiceStatus>> {
  try {
    return await timely(bus.list(serviceStatus));
  } catch {
    const requests = serviceNames.map((name) =>
      timely(bus.call(alive[name], {}, { patience: 0 })).catch(() => undefined),
    );
    const answers = (await Promise.all(requests)).filter((status) => status !== undefined);
    return new Map(answers.map((status) => [status.instance, status]));
  }
}

const sortWebhooks = (webhooks: Map<string, WebhookStatus>) =>
  [...webhooks.values()].sort((a, b) => (a.name < b.name ? -1 : 1));

const flattenReports = (below: Map<string, ChildReport>, presences: Map<string, Presence>) =>
  [...below].flatMap(([child, reported]) => {
    const { seen, layers } = currentLayers(reported, presences.get(child), Date.now());
    return layers.map((layer) => ({ ...layer, child, seen }));
  });

async function parkedOf(bus: Bus, max: number): Promise<Parked[]> {
  const all: Parked[] = [];
  for (let more = true; more; ) {
    const last = all.at(-1);
    const after = last && `${last.repository}!${last.reference}`;
    const page = await bus.call(listParked, { ...(after && { after }), limit: Math.min(1_000, max) });
    for (const one of page.parked) all.push(one);
    more = page.more && page.parked.length > 0 && all.length < max;
  }
  return all;
}

type Entry = { instance: string; host: string; pid: number };

/** Sorted by instance, without dead processes of this host: the entry of a killed process stays until it expires. */
const withoutDead = <E extends Entry>(entries: Map<string, E>): E[] =>
  [...entries.values()].filter(mayBeAlive).sort((a, b) => (a.instance < b.instance ? -1 : 1));

const mayBeAlive = ({ host, pid }: Entry) => host !== hostname() || isAlive(pid);
