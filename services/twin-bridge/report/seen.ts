import { type Child, listChildren } from '#proto/accounts/children.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Unreadable } from '#proto/bus/states.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { HISTORY_KEY, type HistoryStatus, historyStatus } from '#proto/status/history-status.ts';
import { type Layers, layersBelow } from '#proto/status/layers-below.ts';
import { layersNow, type Presence, presence } from '#proto/status/presence.ts';
import {
  LINK_KEY,
  type LinkStatus,
  linkStatus,
  type SyncerStatus,
  syncerStatus,
} from '#proto/status/status.ts';
import { type StorageStatus, storageStatus } from '#proto/status/storage-status.ts';
import type { PassResult } from '#proto/sync/passes.ts';

/** What the layer says of itself at one moment; what nobody answered is left out. */
export type Seen = {
  configuration?: Configuration;
  link?: LinkStatus;
  syncers?: SyncerStatus[];
  storage?: StorageStatus;
  /** Layers below that are activated, the first 500. */
  children?: Child[];
  below: ReadonlyMap<string, Layers>;
  history?: HistoryStatus;
  /** Entries of states that can't be read. */
  unreadable: Unreadable[];
};

/** The last pass that began, and how it ended, with ms since 1970; of this process' time. */
export type LastPass = {
  pass: string;
  cause?: string;
  started?: number;
  ended?: number;
  result?: PassResult;
  /** When the last one ended that was good. */
  succeeded?: number;
};

/** What has become of the document that was found last. */
export type DesiredState = {
  version?: number;
  /** `unknown`: none was found yet. */
  state: 'applied' | 'refused' | 'unknown';
  complaints: string[];
};

const PATIENCE = { patience: 1_000 };

export async function seeLayer(bus: Pick<Bus, 'get' | 'list' | 'call' | 'unreadable'>): Promise<Seen> {
  const [inForce, link, syncers, storage, activated, below, present, history] = await Promise.all([
    bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined),
    bus.get(linkStatus, LINK_KEY).catch(() => undefined),
    bus.list(syncerStatus).catch(() => undefined),
    bus.call(storageStatus, {}, PATIENCE).catch(() => undefined),
    bus.call(listChildren, { limit: 500 }, PATIENCE).catch(() => undefined),
    bus.list(layersBelow).catch(() => new Map<string, Layers>()),
    bus.list(presence).catch(() => new Map<string, Presence>()),
    bus.get(historyStatus, HISTORY_KEY).catch(() => undefined),
  ]);
  const now = Date.now();
  return {
    ...(inForce && { configuration: inForce.value }),
    ...(link && inForce?.value.parent && { link: link.value }),
    ...(syncers && { syncers: [...syncers.values()] }),
    ...(storage && { storage }),
    ...(activated && { children: activated.children }),
    below: new Map([...below].map(([child, told]) => [child, layersNow(told, present.get(child), now)])),
    ...(history && inForce?.value.parent && { history: history.value }),
    unreadable: bus.unreadable(),
  };
}
