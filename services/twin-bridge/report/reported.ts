import type { Child } from '#proto/accounts/children.ts';
import type { LayerReport } from '#proto/status/layers-below.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { leftOutText } from '#proto/sync/left-out.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { shownPause } from '../methods/pause.ts';
import { brief, type Detail, detailsOf, isInactive, LEFT_OUT } from './details.ts';
import type { DesiredState, LastPass, LayerView } from './layer-view.ts';

/**
 * Builds the properties that a layer reports to its module twin from its state. Pure. Names and values are those of the
 * connected registry where it has them (`connectionState`, `statusDetails`, `registrySyncResult` …).
 */

const MAX_COMPLAINTS = 12;
const MAX_CHILDREN = 50;
const MAX_FAILURES = 5;
/** Time without a report after which a layer below counts as silent, in ms. */
const SILENT_MS = 15 * 60_000;
const QUARTER_MS = 15 * 60_000;

export type LayerFacts = {
  seen: LayerView;
  desired: DesiredState;
  pass: LastPass | undefined;
  version: string;
  /** Time since which the details have had each code, in ms since 1970. */
  since: ReadonlyMap<string, number>;
  now: number;
};

export type Reported = Record<string, unknown>;

export function reportedOf(facts: LayerFacts): Reported {
  const { seen, desired, pass, version, since, now } = facts;
  const { configuration, link, storage, sync } = seen;
  const details = detailsOf(seen, desired);
  return {
    version,
    connectionState: stateOf(seen, details),
    statusDetails: details.map((detail) => ({ ...detail, timestamp: time(since.get(detail.code) ?? now) })),
    ...(link?.lastSync && { lastSyncTime: time(link.lastSync) }),
    ...(configuration && { name: configuration.name, mode: configuration.mode }),
    ...(configuration?.parent && {
      parent: { url: configuration.parent.url },
      activation: {
        status: isInactive(link)
          ? 'Inactive'
          : link?.lastSync || link?.state === 'Online'
            ? 'Active'
            : 'Unknown',
      },
    }),
    ...(link?.window && { syncWindow: { open: link.window.open, until: time(link.window.until) } }),
    ...(link?.paused && { linkPause: shownPause(link.paused) }),
    ...(sync && { sync: syncOf(sync) }),
    ...(pass && { registrySyncResult: syncResult(pass, seen) }),
    desired: desiredOf(desired),
    ...(storage && {
      storage: {
        repositories: storage.repositories,
        tags: storage.tags,
        blobs: storage.blobs,
        bytes: coarse(storage.bytes),
        free: coarse(storage.space.free),
        tokens: storage.tokens,
        unsent: configuration?.mode === 'ReadWrite' ? storage.outgoing.unsent : 0,
        ...(configuration?.mode === 'ReadWrite' && unselectedOf(storage)),
      },
    }),
    ...(seen.children && { children: childrenOf(seen.children, seen.below, now) }),
    ...(seen.syncers && { syncers: seen.syncers.length }),
  };
}

/** As in the connected registry: a connected layer with a problem is `Unhealthy`, other than content left out. */
function stateOf({ configuration, link, syncers }: LayerView, details: Detail[]): string {
  // The stored state of the link is valid only while a syncer runs that updates it.
  const known = syncers && syncers.length > 0 ? link?.state : undefined;
  const state = configuration?.parent ? (known ?? 'Offline') : 'Online';
  const hasProblem = details.some(({ code }) => code !== LEFT_OUT);
  return state === 'Online' && hasProblem ? 'Unhealthy' : state;
}

function syncResult({ pass, cause, started, ended, result, succeeded }: LastPass, { link }: LayerView) {
  // Passes without changes publish no events.
  const last = result && Math.max(ended ?? 0, link?.passes?.last ?? 0);
  const good = Math.max(succeeded ?? 0, link?.lastSync ?? 0);
  const state = !result
    ? 'Syncing'
    : result.ok
      ? 'Succeeded'
      : result.ended === 'window' || result.ended === 'paused'
        ? 'TimedOut'
        : result.leftOut && result.failed + result.parked === 0
          ? 'Incomplete'
          : 'Failed';
  return {
    syncState: isInactive(link) ? 'NotActivated' : state,
    ...(cause !== undefined && { syncTrigger: brief(cause, 100) }),
    ...(started && { lastSyncStartTime: time(started) }),
    ...(last && { lastSyncEndTime: time(last) }),
    ...(good && { lastSuccessfulSyncEndTime: time(good) }),
    pass,
    ...(result && {
      taken: result.taken,
      dropped: result.dropped,
      sent: result.sent,
      withdrawn: result.withdrawn,
      failed: result.failed,
      parked: result.parked,
      ...(result.leftOut && { leftOut: brief(leftOutText(result.leftOut)) }),
      failures: result.failures
        .slice(0, MAX_FAILURES)
        .map(({ repository, tag, code, reason }) =>
          brief(`${[repository, tag].filter(Boolean).join(':')} ${reason} (${code})`.trim(), 250),
        ),
    }),
  };
}

/** Without what changes all the time: sizes with two digits, and the estimated end in quarters of an hour. */
function syncOf({ state, behind, until, ahead, uncompared, conflicts, leftOut }: SyncFigure) {
  const { since, bytes, ...counts } = behind;
  return {
    state,
    behind: { ...counts, bytes: coarse(bytes), ...(since !== undefined && { since: time(since) }) },
    ...(until !== undefined && { until: time(Math.ceil(until / QUARTER_MS) * QUARTER_MS) }),
    ahead,
    ...(uncompared !== undefined && { uncompared }),
    conflicts,
    leftOut,
  };
}

function desiredOf({ version, state, complaints }: DesiredState) {
  const more = complaints.length - MAX_COMPLAINTS;
  return {
    ...(version !== undefined && { version }),
    state,
    complaints: complaints.slice(0, MAX_COMPLAINTS).map((complaint) => brief(complaint)),
    ...(more > 0 && { moreComplaints: more }),
  };
}

/** What clients pushed into repositories that no selection covers, and which therefore stays in this layer. */
const unselectedOf = ({ outgoing: { kept, keptIn } }: StorageStatus) =>
  kept && { unselected: { manifests: kept, repositories: keptIn ?? [] } };

/** Count of the activated children, and the last reported state of each. */
function childrenOf(children: Child[], below: LayerView['below'], now: number) {
  const states = children.map(({ name, seen }) => {
    const reported = below.get(name);
    const self = reported?.layers.find(({ path }: LayerReport) => path.length === 0);
    const lastSeen = Math.max(seen, reported?.seen ?? 0);
    return [name, now - lastSeen > SILENT_MS ? 'Silent' : (self?.link?.state ?? 'Online')] as const;
  });
  const more = states.length - MAX_CHILDREN;
  return {
    count: states.length,
    states: Object.fromEntries(states.slice(0, MAX_CHILDREN)),
    ...(more > 0 && { moreStates: more }),
  };
}

const time = (ms: number): string => new Date(ms).toISOString();

/** Rounds to two significant digits: a figure that changes by itself all the time does not cause a report each time. */
export function coarse(bytes: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, bytes))) - 1);
  return Math.round(bytes / unit) * unit;
}
