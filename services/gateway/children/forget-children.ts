import { accountsChanged } from '#proto/accounts/accounts.ts';
import { childAccounts } from '#proto/accounts/children.ts';
import { isChild } from '#proto/accounts/scopes.ts';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller, InvalidationListener, StateLister } from '#proto/bus/roles.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { layersBelow, reportProgress } from '#proto/status/layers-below.ts';
import type { ChildReports } from './child-reports.ts';

/** Interval between checks without a signal of a change, in ms: a signal may be missed, or arrive too early. */
const POLL_MS = 5 * 60_000;
/** Changes within this time are checked together, in ms. */
const DEBOUNCE_MS = 500;
const PAGE = 500;

export type ForgetDeps = {
  bus: StateLister & BusCaller & InvalidationListener;
  reports: Pick<ChildReports, 'forget'>;
  log: Log;
  pollMs?: number;
};

/**
 * Deletes the state of a child once its account is deleted, in either order of that and its last report. In a layer
 * without accounts, to which any child may report, the state of children that reported without one stays.
 */
export function forgetDeletedChildren({ bus, reports, log, pollMs = POLL_MS }: ForgetDeps): Disposable {
  let isChecking = false;
  /** A change arrived after the last check began. */
  let changed = true;
  let ended = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  const schedule = (ms: number) => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(() => void check(), ms).unref();
  };
  const check = async () => {
    isChecking = true;
    changed = false;
    try {
      for (const child of await findDeletedChildren(bus)) {
        await reports.forget(child);
        log.info({ child }, 'deleted the state of a layer below, as its account was deleted');
      }
      failures = 0;
    } catch (err) {
      failures += 1;
      log.debug({ err }, 'cannot check the accounts of layers below; retrying');
    }
    isChecking = false;
    const wait = failures > 0 ? backoffMs(failures, { firstMs: 2_000, maxMs: pollMs }) : jittered(pollMs);
    schedule(changed ? DEBOUNCE_MS : wait);
  };
  const onChange = () => {
    if (changed) return;
    changed = true;
    // A running check may have read the state before this change; another one follows it.
    if (!isChecking) schedule(DEBOUNCE_MS);
  };
  const unsubscribes = [accountsChanged, storageStarted].map((event) => bus.onInvalidation(event, onChange));
  bus.onGap(onChange);
  schedule(DEBOUNCE_MS);
  return {
    [Symbol.dispose]() {
      for (const unsubscribe of unsubscribes) unsubscribe();
      ended = true;
      clearTimeout(timer);
    },
  };
}

/** Children that have state but no account, although they had one or would need one. */
async function findDeletedChildren(bus: ForgetDeps['bus']): Promise<string[]> {
  const known = new Map<string, boolean>();
  for (const state of [reportProgress, layersBelow]) {
    for (const [child, { account = false }] of await bus.list<typeof state.value>(state)) {
      known.set(child, account || (known.get(child) ?? false));
    }
    for (const { bucket, key } of bus.unreadable()) {
      if (bucket === state.bucket && isChild(key)) known.set(key, true);
    }
  }
  const names = [...known.keys()];
  const deleted: string[] = [];
  for (let at = 0; at < names.length; at += PAGE) {
    const page = names.slice(at, at + PAGE);
    const { names: existing, open } = await bus.call(childAccounts, { names: page });
    for (const name of page) if (!existing.includes(name) && (!open || known.get(name))) deleted.push(name);
  }
  return deleted;
}
