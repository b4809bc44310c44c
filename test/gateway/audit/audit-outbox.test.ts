import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { pack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';
import { auditOutbox } from '../../../services/gateway/audit/audit-outbox.ts';

/** Entries of the audit on their way to storage. */

const entry = (reference: string): AuditEntry => ({ at: 1, action: 'login', outcome: 'refused', reference });

/** Takes what the bus would take, while it is not `away`. */
function storage(away: (entries: AuditEntry[]) => boolean = () => false) {
  const taken: (string | undefined)[] = [];
  const errors: object[] = [];
  const done = Promise.withResolvers<void>();
  const call = async (_request: typeof addAudit, query: { entries: AuditEntry[] }) => {
    if (away(query.entries)) throw new Fault('unavailable', 'storage is away');
    pack(addAudit.query, query);
    taken.push(...query.entries.map(({ reference }) => reference));
    if (taken.includes('last')) done.resolve();
    return {};
  };
  const quiet = () => {};
  const log = { debug: quiet, info: quiet, warn: quiet, error: (fields: object) => void errors.push(fields) };
  const outbox = auditOutbox({ call } as never, log as never);
  return { outbox, taken, errors, done: done.promise };
}

test('an entry that is refused for good is lost alone, and holds nothing behind it up', async () => {
  const { outbox, taken, errors } = storage();
  outbox.add([entry('a'), entry('half \ud83d'), entry('b')]);
  outbox.add([entry('last')]);
  await outbox.close();
  deepEqual(taken, ['a', 'b', 'last']);
  equal(errors.length, 1);
  match(String((errors[0] as { err: Fault }).err.message), /an unpaired surrogate/);
});

test('what was sent one by one before an outage is not sent again', async () => {
  let outages = 1;
  const away = (entries: AuditEntry[]) =>
    entries.length === 1 && entries[0]?.reference === 'b' && outages-- > 0;
  const { outbox, taken, done } = storage(away);
  // The pause between two tries holds no process: this does.
  const hold = setInterval(() => {}, 1_000);
  outbox.add([entry('a'), entry('half \ud83d'), entry('b'), entry('last')]);
  await done;
  clearInterval(hold);
  deepEqual(taken, ['a', 'b', 'last']);
});
