import { accountsChanged } from '#proto/accounts/accounts.ts';
import { childAccounts } from '#proto/accounts/children.ts';
import { isChild } from '#proto/accounts/scopes.ts';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { layersBelow, reportProgress } from '#proto/status/layers-below.ts';
import type { ChildReports } from './child-reports.ts';

/** How often it is looked at without any sign of a change, in ms: one may have been missed, or come too early. */
const POLL_MS = 5 * 60_000;
/** Changes of so long are looked at together. */
const SETTLE_MS = 500;
const PAGE = 500;

export type ForgetDeps = {
  bus: Pick<Bus, 'list' | 'unreadable' | 'call' | 'onInvalidation' | 'onGap'>;
  below: Pick<ChildReports, 'forget'>;
  log: Log;
  pollMs?: number;
};

/**
 * What is known of a child goes with its account, in whatever order that and its last report came. In a layer without
 * accounts, where whoever comes may report, what came without one stays.
 */
export function forgetDeletedChildren({ bus, below, log, pollMs = POLL_MS }: ForgetDeps): Disposable {
  let looking = false;
  /** Something has changed since the last look began. */
  let changed = true;
  let ended = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  const soon = (ms: number) => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(() => void look(), ms).unref();
  };
  const look = async () => {
    looking = true;
    changed = false;
    try {
      for (const child of await gone(bus)) {
        await below.forget(child);
        log.info({ child }, 'what was known of a layer below is dropped with its account');
      }
      failures = 0;
    } catch (err) {
      failures += 1;
      log.debug({ err }, 'the accounts of layers below could not be looked at; looking again');
    }
    looking = false;
    const wait = failures > 0 ? backoffMs(failures, { firstMs: 2_000, maxMs: pollMs }) : jittered(pollMs);
    soon(changed ? SETTLE_MS : wait);
  };
  const change = () => {
    if (changed) return;
    changed = true;
    // A look that is under way may have read what was before; the next one follows it.
    if (!looking) soon(SETTLE_MS);
  };
  const ends = [accountsChanged, storageStarted].map((event) => bus.onInvalidation(event, change));
  bus.onGap(change);
  soon(SETTLE_MS);
  return {
    [Symbol.dispose]() {
      for (const end of ends) end();
      ended = true;
      clearTimeout(timer);
    },
  };
}

/** Children of which something is known and that have no account, although they had one or would need one. */
async function gone(bus: ForgetDeps['bus']): Promise<string[]> {
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
  const found: string[] = [];
  for (let at = 0; at < names.length; at += PAGE) {
    const page = names.slice(at, at + PAGE);
    const { names: have, open } = await bus.call(childAccounts, { names: page });
    for (const name of page) if (!have.includes(name) && (!open || known.get(name))) found.push(name);
  }
  return found;
}
