import { AsyncLocalStorage } from 'node:async_hooks';
import type { Asker } from '#proto/bus/caller.ts';

/** Who asked for what is being done now: known in everything that a request does, however deep. */
const asking = new AsyncLocalStorage<Asker>();

export const askedBy = <T>(asker: Asker, work: () => T): T => asking.run(asker, work);

export const currentAsker = (): Asker => asking.getStore() ?? {};

/** For the data of an event: the account that is responsible, where there is one. */
export function byAccount(): { account?: string } {
  const { account } = currentAsker();
  return account === undefined ? {} : { account };
}

/** For whom an upload counts; empty for clients without an account. */
export const uploaderOf = ({ user, account }: Asker): string =>
  account ?? (user === undefined || user === 'gateway' ? '' : `_${user}`);
