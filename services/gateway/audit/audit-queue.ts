import type { Log } from '#proto/bus/bus.ts';
import { RetryQueue } from '#proto/bus/retry-queue.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';

/** Max batches stored while storage is unavailable. */
const MAX_BATCHES = 200;
const MAX_WAIT_MS = 1_000;

/**
 * Sends batches of entries to storage, in order. An entry that storage, or the bus, rejects permanently is dropped and
 * logged: it blocks neither the other entries of its batch nor those after it.
 */
export function makeAuditQueue(bus: BusCaller, log: Log): RetryQueue<AuditEntry[]> {
  const add = async (entries: AuditEntry[]) =>
    void (await bus.call(addAudit, { entries }, { patience: MAX_WAIT_MS }));
  return new RetryQueue<AuditEntry[]>(
    async (batch) => {
      try {
        await add(batch);
      } catch (error) {
        if (!isPermanent(error)) throw error;
        // Each entry leaves the batch once stored or dropped, so that a retry after an outage does not send it twice.
        for (let entry = batch[0]; entry; entry = batch[0]) {
          await add([entry]).catch((err) => {
            if (!isPermanent(err)) throw err;
            log.error({ err, action: entry?.action }, 'audit entry rejected; dropped');
          });
          batch.shift();
        }
      }
    },
    (batches, err) => log.error({ err, batches }, 'audit entries dropped: storage does not accept them'),
    MAX_BATCHES,
  );
}

const isPermanent = (error: unknown): boolean => Fault.is(error, 'malformed', 'too-large', 'denied');
