import { matches, mayAsk, permissionsOf } from '#proto/bus/permissions.ts';
import { type UserName, userNames } from '#proto/contract/users.ts';
import { APPEND } from '#proto/jetstream/store-requests.ts';

/** Which users of the bus may send a message, and which may receive it, by the permissions of their credentials. */

export const usersWho = (may: (user: UserName) => boolean): UserName[] => userNames.filter(may);

export const sendersOf = (subject: string): UserName[] => usersWho((user) => mayAsk(user, subject));

export const hearersOf = (subject: string): UserName[] =>
  usersWho((user) => permissionsOf(user).subscribe.some((pattern) => matches(pattern, subject)));

/** Users that may have storage store an event; without any, storage itself publishes it. */
export function publishersOf(type: string): UserName[] {
  const senders = sendersOf(`${APPEND}events.${type}`);
  return senders.length > 0 ? senders : ['storage'];
}
