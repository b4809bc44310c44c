import { AsyncLocalStorage } from 'node:async_hooks';
import type { Caller } from '#proto/bus/caller.ts';

/** Caller of the current request, available to everything that the request does. */
const callers = new AsyncLocalStorage<Caller>();

/** Runs `work` for a caller. */
export const runAs = <T>(caller: Caller, work: () => T): T => callers.run(caller, work);

/** Empty if storage acts by itself. */
export const currentCaller = (): Caller => callers.getStore() ?? {};

/** For the data of an event: the responsible account, if any. */
export function byAccount(): { account?: string } {
  const { account } = currentCaller();
  return account === undefined ? {} : { account };
}

/** Account that an upload counts for; empty for clients without an account. */
export const uploaderOf = ({ user, account }: Caller): string =>
  account ?? (user === undefined || user === 'gateway' ? '' : `_${user}`);
