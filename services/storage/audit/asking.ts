import { AsyncLocalStorage } from 'node:async_hooks';
import type { Caller } from '#proto/bus/caller.ts';

/** Who asked for what is being done now: known in everything that a request does, however deep. */
const asking = new AsyncLocalStorage<Caller>();

export const runAs = <T>(caller: Caller, work: () => T): T => asking.run(caller, work);

export const currentCaller = (): Caller => asking.getStore() ?? {};

/** For the data of an event: the account that is responsible, where there is one. */
export function byAccount(): { account?: string } {
  const { account } = currentCaller();
  return account === undefined ? {} : { account };
}

/** For whom an upload counts; empty for clients without an account. */
export const uploaderOf = ({ user, account }: Caller): string =>
  account ?? (user === undefined || user === 'gateway' ? '' : `_${user}`);
