import { type Child, listChildren } from '#proto/accounts/children.ts';
import type { BusCaller, StateLister, StateReader } from '#proto/bus/roles.ts';
import type { Unreadable } from '#proto/bus/states.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { syncFigure } from '#proto/overview/sync-state.ts';
import { HISTORY_KEY, type HistoryStatus, historyStatus } from '#proto/status/history-status.ts';
import { type ChildReport, layersBelow } from '#proto/status/layers-below.ts';
import { currentLayers, type Presence, presence } from '#proto/status/presence.ts';
import {
  LINK_KEY,
  type LinkStatus,
  linkStatus,
  type SyncerStatus,
  syncerStatus,
} from '#proto/status/status.ts';
import { type StorageStatus, storageStatus } from '#proto/status/storage-status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';

/** State of the layer at one moment, without the parts that no service answered. */
export type LayerView = {
  configuration?: Configuration;
  link?: LinkStatus;
  /** How the layer stands against its parent. */
  sync?: SyncFigure;
  syncers?: SyncerStatus[];
  storage?: StorageStatus;
  /** Activated layers below, at most 500. */
  children?: Child[];
  below: ReadonlyMap<string, ChildReport>;
  history?: HistoryStatus;
  /** Entries of states that can't be read. */
  unreadable: Unreadable[];
};

/** The last pass in the lifetime of this process, and how it ended. Times are in ms since 1970. */
export type LastPass = {
  pass: string;
  cause?: string;
  started?: number;
  ended?: number;
  result?: PassResult;
  /** End of the last successful pass. */
  succeeded?: number;
};

/** State of the last document. */
export type DesiredState = {
  version?: number;
  /** `unknown`: no document yet. `pending`: valid, but it or its accounts are not in force yet. */
  state: 'applied' | 'pending' | 'refused' | 'unknown';
  complaints: string[];
};

const PATIENCE = { patience: 1_000 };

/** @param known the configuration as last read, for while storage does not answer */
export async function seeLayer(
  bus: StateReader & StateLister & BusCaller,
  known?: Configuration,
): Promise<LayerView> {
  const [inForce, link, syncers, storage, activated, below, present, history] = await Promise.all([
    bus.get(configuration, CONFIGURATION_KEY).then(
      (entry) => entry?.value,
      () => known,
    ),
    bus.get(linkStatus, LINK_KEY).catch(() => undefined),
    bus.list(syncerStatus).catch(() => undefined),
    bus.call(storageStatus, {}, PATIENCE).catch(() => undefined),
    bus.call(listChildren, { limit: 500 }, PATIENCE).catch(() => undefined),
    bus.list(layersBelow).catch(() => new Map<string, ChildReport>()),
    bus.list(presence).catch(() => new Map<string, Presence>()),
    bus.get(historyStatus, HISTORY_KEY).catch(() => undefined),
  ]);
  const now = Date.now();
  const sources = {
    ...(inForce && { configuration: inForce }),
    ...(link && inForce?.parent && { link: link.value }),
    ...(storage && { storage }),
  };
  const sync = syncFigure({ ...sources, syncers: [...(syncers?.values() ?? [])] }, now);
  return {
    ...sources,
    ...(sync && { sync }),
    ...(syncers && { syncers: [...syncers.values()] }),
    ...(activated && { children: activated.children }),
    below: new Map(
      [...below].map(([child, layers]) => [child, currentLayers(layers, present.get(child), now)]),
    ),
    ...(history && inForce?.parent && { history: history.value }),
    unreadable: bus.unreadable(),
  };
}
