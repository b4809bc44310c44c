import { AccountName } from '../accounts/accounts.ts';
import { request } from '../contract/contract.ts';
import { Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Audit log: who did what, or tried to: content, accounts, scope maps, children, configuration, maintenance, starts and
 * stops. Storage writes it to `log/audit.log` of the data volume, one JSON object per line, without secrets.
 */
const text = (maxLength: number) => Type.Optional(Type.String({ maxLength }));

/**
 * `written` and `refused`: a request of a client. `begun`: on the disk before a change of rights, or maintenance, is
 * carried out; `done` or `failed` follows. `said`: anything else, such as a start.
 */
export const outcomes = ['written', 'refused', 'begun', 'done', 'failed', 'said'] as const;

const Detail = Type.Union([
  Type.String({ maxLength: 400 }),
  Type.Number(),
  Type.Boolean(),
  Type.Array(Type.String({ maxLength: 400 }), { maxItems: 50 }),
]);

export const AuditEntry = Type.Object({
  at: Instant,
  /** A right (`content/write`), or `<noun>/<verb>` such as `token/create`. */
  action: Type.String({ maxLength: 40 }),
  outcome: Type.Union(outcomes.map((outcome) => Type.Literal(outcome))),
  /** Absent for a client without an account. */
  account: Type.Optional(AccountName),
  /** The user at the command line. */
  person: text(64),
  address: text(80),
  method: text(10),
  status: Type.Optional(Type.Integer()),
  repository: text(255),
  reference: text(140),
  digest: text(140),
  child: text(80),
  /** Name of the token, scope map or child that was changed. */
  subject: text(128),
  reason: text(400),
  /**
   * Number of entries of the same kind since `since`. The first one of the kind has an entry of its own; the other
   * fields are from that one.
   */
  count: Type.Optional(Type.Integer({ minimum: 1 })),
  since: Type.Optional(Instant),
  detail: Type.Optional(
    Type.Record(Type.String({ pattern: '^[a-zA-Z]{1,40}$' }), Detail, {
      maxProperties: 20,
      additionalProperties: false,
    }),
  ),
});
export type AuditEntry = Static<typeof AuditEntry>;

/** Only for the gateway and twin-bridge: actions of other users are requests to storage itself. Faults: `denied`. */
export const addAudit = request(
  'storage.audit.add',
  Type.Object({ entries: Type.Array(AuditEntry, { minItems: 1, maxItems: 100 }) }),
  Type.Object({}),
);
