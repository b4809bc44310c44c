import { inboxOf, type UserName, userNames } from '../contract/users.ts';

/** Names the account, or the person, that the asking user of the bus asks for. */
export const ON_BEHALF = 'Terrace-For';

/**
 * Who asks: the user of the bus whose inbox gets the answer, which nobody else may hear; `account` that is responsible,
 * and `person` at the command line, where the user named one.
 */
export type Caller = {
  user?: UserName;
  /** A token of the layer; a user of the bus that acts by itself has a name that begins with `_`, as no token does. */
  account?: string;
  person?: string;
};

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$/;
const MAX_PERSON = 64;

export function callerOf(message: {
  reply?: string | undefined;
  headers?: { get(name: string): string } | undefined;
}): Caller {
  const user = userNames.find((name) => message.reply?.startsWith(`${inboxOf(name)}.`));
  if (user === undefined) return {};
  const behalf = message.headers?.get(ON_BEHALF) ?? '';
  // Clients of the gateway may have no account; the syncer brings what others did at the parent.
  if (user === 'gateway') return NAME.test(behalf) ? { user, account: behalf } : { user };
  if (user === 'syncer') return { user };
  const person = personName(behalf);
  return { user, account: `_${user}`, ...(person && { person }) };
}

/** As it can stand in a header and in a line of a log. */
export const personName = (text: string): string => text.replace(/[^\w.@\\-]+/g, '_').slice(0, MAX_PERSON);
