import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { BusCaller, StateReader } from '#proto/bus/roles.ts';
import {
  compareRestored,
  getRestored,
  MAX_RESTORED_CHANGES,
  type ReportedChange,
  type RestoredStatus,
} from '#proto/content/restored.ts';
import type { Log } from '#proto/contract/log.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import type { ReportedHistory } from '../link/terrace/parent-reports.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import { PATIENT_BACKOFF, waitAfter } from './wait-after.ts';

/** Poll interval for the end of the first complete pass, in ms: a pass wakes it, too. */
const POLL_MS = 60_000;
/** Max tags that are compared: bounds memory. */
const MAX_TAGS = 20_000;
/** Max pages that the parent is asked for. */
const MAX_PAGES = 200;

export type RestoredDeps = {
  bus: BusCaller & StateReader;
  /** Undefined if the parent is not known to be a Terrace. */
  reports: () => Promise<ReportedHistory | undefined>;
  /** Undefined if no parent is configured. */
  link: () => LinkUse | undefined;
  hasParent: () => boolean;
  /** Name of the layer. */
  layer: () => string;
  onPass: (listener: () => void) => () => void;
  log: Log;
};

/**
 * In a layer that was restored from a backup: after the first complete pass, asks the parent which tags were changed
 * here after the backup, and has storage compare them with what is here. Ends when that is reported, or when `signal`
 * aborts.
 */
export async function reportRestored(deps: RestoredDeps, signal: AbortSignal): Promise<void> {
  const { bus, log, onPass } = deps;
  let passed = Promise.withResolvers<void>();
  const stop = onPass(() => passed.resolve());
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  try {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const { restored } = await bus.call(getRestored, {}, { signal });
        if (!restored || restored.report) return;
        if (!deps.hasParent())
          return await report(deps, new Map(), { known: false, complete: false }, signal);
        passed = Promise.withResolvers<void>();
        if (await isComplete(deps, restored)) return await compare(deps, restored, signal);
        failures = 0;
      } catch (err) {
        if (signal.aborted) return;
        failures += 1;
        log.debug({ err }, 'the parent could not be asked for changes after the backup; retrying');
        await pause(waitAfter(err, failures, PATIENT_BACKOFF));
        continue;
      }
      await Promise.race([passed.promise, pause(jittered(POLL_MS))]);
    }
  } finally {
    stop();
  }
}

/** Whether a pass was complete since the restore, and the link may be used now. */
async function isComplete({ bus, link }: RestoredDeps, { restored }: RestoredStatus): Promise<boolean> {
  const status = await bus.get(linkStatus, LINK_KEY);
  return (status?.value.lastSync ?? 0) > restored && link()?.usable === true;
}

async function compare(deps: RestoredDeps, restored: RestoredStatus, signal: AbortSignal): Promise<void> {
  const { reports, layer } = deps;
  const parent = await reports();
  const last = new Map<string, ReportedChange>();
  let known = false;
  let complete = false;
  let after = 0;
  for (let page = 0; parent && page < MAX_PAGES; page += 1) {
    const query = { since: restored.at, until: restored.restored, layer: layer(), after };
    const answer = await parent.changes(query, signal);
    if (!answer) break;
    known = true;
    complete = answer.complete;
    for (const change of answer.changes) {
      const name = `${change.repository}:${change.tag}`;
      if (last.size < MAX_TAGS || last.has(name)) last.set(name, change);
      else complete = false;
    }
    if (!answer.more) break;
    after = answer.next;
  }
  await report(deps, last, { known, complete }, signal);
}

async function report(
  { bus, log }: RestoredDeps,
  changes: Map<string, ReportedChange>,
  end: { known: boolean; complete: boolean },
  signal: AbortSignal,
): Promise<void> {
  const all = [...changes.values()];
  for (let at = 0, first = true; first || at < all.length; at += MAX_RESTORED_CHANGES, first = false) {
    const isLast = at + MAX_RESTORED_CHANGES >= all.length;
    const part = { changes: all.slice(at, at + MAX_RESTORED_CHANGES), first };
    await bus.call(compareRestored, { ...part, ...(isLast && { last: end }) }, { signal });
  }
  log.info({ changes: all.length, ...end, notice: true }, 'changes after the backup were compared');
}
