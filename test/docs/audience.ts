import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { matches, mayAsk, permissionsOf } from '#proto/bus/permissions.ts';
import type { Event } from '#proto/contract/contract.ts';
import { type UserName, userNames } from '#proto/contract/users.ts';
import { APPEND } from '#proto/jetstream/store-requests.ts';
import type { Message } from './declared.ts';

/** Which users of the bus may send a message, and which may receive it, by the permissions of their credentials. */

export const usersWho = (may: (user: UserName) => boolean): UserName[] => userNames.filter(may);

export const sendersOf = (subject: string): UserName[] => usersWho((user) => mayAsk(user, subject));

export const receiversOf = (subject: string): UserName[] =>
  usersWho((user) => permissionsOf(user).subscribe.some((pattern) => matches(pattern, subject)));

const folder = join(import.meta.dirname, '../../services/storage');
const storage = readdirSync(folder, { encoding: 'utf8', recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(folder, file), 'utf8'))
  .join('\n');

/**
 * Users whose request storage stores as this event. Storage itself may publish every event: it counts if its code
 * publishes this one, or if no other user may.
 */
export function publishersOf({ message: { type }, name }: Message<Event>): UserName[] {
  const senders = sendersOf(`${APPEND}events.${type}`);
  const isOfStorage = senders.length === 0 || storage.includes(`publish(${name},`);
  return isOfStorage ? ['storage', ...senders] : senders;
}
