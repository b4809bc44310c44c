import { described, event } from '../contract/contract.ts';
import { Count, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Forwarding of the audit log to a syslog receiver. */

const ReceiverAddress = Type.String({
  maxLength: 310,
  description: 'Host and port of the receiver.',
});
const ForwardingState = Type.Union(
  [Type.Literal('Connecting'), Type.Literal('Connected'), Type.Literal('Away')],
  {
    description:
      'Connecting: the first attempt is running. Connected: entries are sent as they are written. Away: the receiver is not connected, or takes nothing; entries wait in the audit log.',
  },
);

/** Part of the status of storage, if a receiver is configured. */
export const AuditForwarding = Type.Object({
  receiver: ReceiverAddress,
  tls: Type.Boolean(),
  state: ForwardingState,
  since: Instant,
  /** Number of entries that are not sent yet. */
  waiting: Count,
  /** Why it is away, and when the next attempt begins. */
  reason: Type.Optional(Reason),
  next: Type.Optional(Instant),
  /** Entries that the receiver will never get, as the log overran: since when, and when the last. Shown for a day. */
  lost: Type.Optional(Type.Object({ count: Count, since: Instant, last: Instant })),
});
export type AuditForwarding = Static<typeof AuditForwarding>;

/** The connection to the syslog receiver of the audit log came or went, or entries were lost to the receiver. */
export const forwardingChanged = event(
  'forwarding.changed',
  Type.Object({
    receiver: ReceiverAddress,
    state: ForwardingState,
    reason: Type.Optional(described(Reason, 'Why it is away.')),
    lost: Type.Optional(
      described(
        Count,
        'Number of entries that were just deleted from the audit log before the receiver had them.',
      ),
    ),
  }),
);
