import { described, event, request } from '../contract/contract.ts';
import { Instant } from '../contract/scalars.ts';
import { Type } from '../contract/schema.ts';
import { AccountName } from './accounts.ts';

/**
 * Sessions of people that were ended by their owners before their time. A session is a signed cookie, which every
 * gateway process takes until it is over: so storage records those that are ended, until they would be over.
 */

/** Max ended sessions that are recorded. One more displaces the one that would be over first. */
export const MAX_ENDED_SESSIONS = 10_000;

const SessionId = Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', maxLength: 22 });

/** Ends a session. `until`: when it would be over at the latest. */
export const endSession = request(
  'storage.login.end',
  Type.Object({ id: SessionId, until: Instant }),
  Type.Object({}),
);

/** Whether a session was ended. */
export const sessionStatus = request(
  'storage.login.get',
  Type.Object({ id: SessionId }),
  Type.Object({ ended: Type.Boolean() }),
);

/** A person has logged out: what gateways know of sessions is invalid. */
export const sessionEnded = event(
  'session.ended',
  Type.Object({ account: Type.Optional(described(AccountName, 'Who has logged out.')) }),
  { immediate: true },
);
