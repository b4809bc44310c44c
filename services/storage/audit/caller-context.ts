import { AsyncLocalStorage } from 'node:async_hooks';
import type { RequestSender } from '#proto/bus/caller.ts';

/** Caller of the current request, available to everything that the request does. */
const callers = new AsyncLocalStorage<RequestSender>();

/** Runs `work` for a caller. */
export const runAs = <T>(caller: RequestSender, work: () => T): T => callers.run(caller, work);

/** Empty if storage acts by itself. */
export const currentCaller = (): RequestSender => callers.getStore() ?? {};

/** For the data of an event: the responsible account, if any. */
export function byAccount(): { account?: string } {
  const { account } = currentCaller();
  return account === undefined ? {} : { account };
}

/** Account that an upload counts for; empty for clients without an account. */
export const uploaderOf = ({ user, account }: RequestSender): string =>
  account ?? (user === undefined || user === 'gateway' ? '' : `_${user}`);
