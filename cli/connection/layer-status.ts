import { hostname } from 'node:os';
import type { Bus } from '#proto/bus/bus.ts';
import type { Unreadable } from '#proto/bus/states.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { HISTORY_KEY, type HistoryStatus, historyStatus } from '#proto/status/history-status.ts';
import { type LayerReport, type Layers, layersBelow } from '#proto/status/layers-below.ts';
import { layersNow, type Presence, presence } from '#proto/status/presence.ts';
import {
  alive,
  type BridgeStatus,
  bridgeStatus,
  COORDINATOR_KEY,
  LINK_KEY,
  type LinkStatus,
  lease,
  linkStatus,
  type ServiceStatus,
  type SyncerStatus,
  serviceStatus,
  syncerStatus,
} from '#proto/status/status.ts';
import { type StorageStatus, storageStatus } from '#proto/status/storage-status.ts';
import { type WebhookStatus, webhookStatus } from '#proto/status/webhooks.ts';
import { listParked, type Parked } from '#proto/sync/outgoing.ts';
import { isAlive } from '../data/pid-file.ts';
import { type NatsServer, natsServer } from './nats-advisories.ts';

/** All that a layer says of itself. What nobody answered is left out. */
export type LayerStatus = {
  services: ServiceStatus[];
  /** What each of them does. */
  syncers: SyncerStatus[];
  configuration?: Configuration;
  bridge?: BridgeStatus;
  link?: LinkStatus;
  coordinator?: string;
  storage?: StorageStatus;
  /** Changes that the parent refused, by repository and reference. */
  parked?: Parked[];
  /** The layers below, as they last told; `child` is the one that told it, and that was last heard at the time `seen`. */
  below?: (LayerReport & { child: string; seen: number })[];
  /** Events that the parent refuses to be told. */
  history?: HistoryStatus;
  /** Entries of states that can't be read: what they say is missing here. */
  unreadable?: Unreadable[];
  /** By name. */
  webhooks?: WebhookStatus[];
  /** The bus that all of them use. */
  natsServer?: NatsServer;
  /** The services that did not answer. */
  silent: string[];
};

export async function layerStatus(bus: Bus): Promise<LayerStatus> {
  const silent: string[] = [];
  const answer = <T>(service: string, asking: Promise<T>): Promise<T | undefined> =>
    asking.catch(() => {
      silent.push(service);
      return undefined;
    });
  const [services, syncers, inForce, link, holder, storage, bridge, below, heard, webhooks, history] =
    await Promise.all([
      servicesOf(bus),
      bus.list(syncerStatus).catch(() => new Map<string, SyncerStatus>()),
      bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined),
      bus.get(linkStatus, LINK_KEY).catch(() => undefined),
      bus.get(lease, COORDINATOR_KEY).catch(() => undefined),
      answer('storage', bus.call(storageStatus, {}, { patience: 1_000 })),
      answer('twin-bridge', bus.call(bridgeStatus, {}, { patience: 1_000 })),
      bus.list(layersBelow).catch(() => new Map<string, Layers>()),
      bus.list(presence).catch(() => new Map<string, Presence>()),
      bus.list(webhookStatus).catch(() => new Map<string, WebhookStatus>()),
      bus.get(historyStatus, HISTORY_KEY).catch(() => undefined),
    ]);
  const told = new Set(present(services).map(({ service }) => service));
  for (const name of serviceNames) if (!told.has(name) && !silent.includes(name)) silent.push(name);
  const parked = storage?.outgoing.parked ? await parkedOf(bus).catch(() => undefined) : undefined;
  const unreadable = bus.unreadable();
  return {
    services: present(services),
    syncers: present(syncers),
    ...(inForce && { configuration: inForce.value }),
    ...(bridge && { bridge }),
    ...(link && inForce?.value.parent && { link: link.value }),
    ...(holder && { coordinator: holder.value.holder }),
    ...(storage && { storage }),
    ...(parked && { parked }),
    ...(below.size > 0 && { below: flat(below, heard) }),
    ...(history && inForce?.value.parent && { history: history.value }),
    ...(unreadable.length > 0 && { unreadable }),
    ...(webhooks.size > 0 && { webhooks: named(webhooks) }),
    natsServer: natsServer(bus.serverVersion()),
    silent,
  };
}

/** Where storage is away, and with it all states, each service is asked: one of its processes answers. */
async function servicesOf(bus: Bus): Promise<Map<string, ServiceStatus>> {
  try {
    return await bus.list(serviceStatus);
  } catch {
    const asking = serviceNames.map((name) =>
      bus.call(alive[name], {}, { patience: 0 }).catch(() => undefined),
    );
    const found = (await Promise.all(asking)).filter((status) => status !== undefined);
    return new Map(found.map((status) => [status.instance, status]));
  }
}

const named = (webhooks: Map<string, WebhookStatus>) =>
  [...webhooks.values()].sort((a, b) => (a.name < b.name ? -1 : 1));

const flat = (below: Map<string, Layers>, heard: Map<string, Presence>) =>
  [...below].flatMap(([child, told]) => {
    const { seen, layers } = layersNow(told, heard.get(child), Date.now());
    return layers.map((layer) => ({ ...layer, child, seen }));
  });

async function parkedOf(bus: Bus): Promise<Parked[]> {
  const all: Parked[] = [];
  for (let more = true; more; ) {
    const last = all.at(-1);
    const after = last && `${last.repository}!${last.reference}`;
    const page = await bus.call(listParked, { ...(after && { after }), limit: 1_000 });
    for (const one of page.parked) all.push(one);
    more = page.more && page.parked.length > 0;
  }
  return all;
}

type Entry = { instance: string; host: string; pid: number };

/** By name. The entry of a process that was killed stays for a while. */
const present = <E extends Entry>(entries: Map<string, E>): E[] =>
  [...entries.values()].filter(lives).sort((a, b) => (a.instance < b.instance ? -1 : 1));

const lives = ({ host, pid }: Entry) => host !== hostname() || isAlive(pid);
