import { inboxOf, type UserName, userNames } from '../contract/users.ts';

/** Header with the account or person on whose behalf a user of the bus sends a request. */
export const ON_BEHALF = 'Terrace-For';

/**
 * Sender of a request. `user`: the user of the bus whose inbox receives the answer, to which no other user may
 * subscribe. `account`: the responsible account. `person`: the person at the command line, if the user named one.
 */
export type RequestSender = {
  user?: UserName;
  /** Token of the layer, or `_<user>` for a user of the bus that acts by itself: no token begins with `_`. */
  account?: string;
  person?: string;
};

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$/;
const MAX_PERSON = 64;

export function callerOf(message: {
  reply?: string | undefined;
  headers?: { get(name: string): string } | undefined;
}): RequestSender {
  const user = userNames.find((name) => message.reply?.startsWith(`${inboxOf(name)}.`));
  if (user === undefined) return {};
  const behalf = message.headers?.get(ON_BEHALF) ?? '';
  // Clients of the gateway may have no account; the syncer applies changes that others made at the parent.
  if (user === 'gateway') return NAME.test(behalf) ? { user, account: behalf } : { user };
  if (user === 'syncer') return { user };
  const person = personName(behalf);
  return { user, account: `_${user}`, ...(person && { person }) };
}

/** A name in the form that is safe in a header and in a log line. */
export const personName = (text: string): string => text.replace(/[^\w.@\\-]+/g, '_').slice(0, MAX_PERSON);
