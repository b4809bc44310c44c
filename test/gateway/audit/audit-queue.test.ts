import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { pack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';
import { makeAuditQueue } from '../../../services/gateway/audit/audit-queue.ts';

/** Delivery of audit entries to storage. */

const entry = (reference: string): AuditEntry => ({ at: 1, action: 'login', outcome: 'refused', reference });

/** A stand-in for storage: accepts what the bus can encode, unless `isDown`. */
function storage(isDown: (entries: AuditEntry[]) => boolean = () => false) {
  const accepted: (string | undefined)[] = [];
  const errors: object[] = [];
  const done = Promise.withResolvers<void>();
  const call = async (_request: typeof addAudit, query: { entries: AuditEntry[] }) => {
    if (isDown(query.entries)) throw new Fault('unavailable', 'storage is down');
    pack(addAudit.query, query);
    accepted.push(...query.entries.map(({ reference }) => reference));
    if (accepted.includes('last')) done.resolve();
    return {};
  };
  const quiet = () => {};
  const log = { debug: quiet, info: quiet, warn: quiet, error: (fields: object) => void errors.push(fields) };
  const queue = makeAuditQueue({ call } as never, log as never);
  return { queue, accepted, errors, done: done.promise };
}

test('a permanently rejected entry is dropped alone, and does not block later entries', async () => {
  const { queue, accepted, errors } = storage();
  queue.add([entry('a'), entry('half \ud83d'), entry('b')]);
  queue.add([entry('last')]);
  await queue.close();
  deepEqual(accepted, ['a', 'b', 'last']);
  equal(errors.length, 1);
  match(String((errors[0] as { err: Fault }).err.message), /an unpaired surrogate/);
});

test('entries that were sent one by one before an outage are not sent again', async () => {
  let outages = 1;
  const isDown = (entries: AuditEntry[]) =>
    entries.length === 1 && entries[0]?.reference === 'b' && outages-- > 0;
  const { queue, accepted, done } = storage(isDown);
  // The timer between two attempts is unreferenced: this one keeps the process alive.
  const hold = setInterval(() => {}, 1_000);
  queue.add([entry('a'), entry('half \ud83d'), entry('b'), entry('last')]);
  await done;
  clearInterval(hold);
  deepEqual(accepted, ['a', 'b', 'last']);
});
