import type { Bus, Log } from '#proto/bus/bus.ts';
import { Outbox } from '#proto/bus/outbox.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';

/** So many batches are kept while storage is away. */
const MAX_BATCHES = 200;
const PATIENCE_MS = 1_000;

/**
 * Sends batches of entries to storage, in order. An entry that storage, or the bus, refuses for good is dropped and
 * logged: it holds up neither the other entries of its batch nor those behind it.
 */
export function auditOutbox(bus: Pick<Bus, 'call'>, log: Log): Outbox<AuditEntry[]> {
  const add = async (entries: AuditEntry[]) =>
    void (await bus.call(addAudit, { entries }, { patience: PATIENCE_MS }));
  return new Outbox<AuditEntry[]>(
    async (batch) => {
      try {
        await add(batch);
      } catch (error) {
        if (!isFinal(error)) throw error;
        // Each leaves the batch when it is settled: a retry after an outage does not send it twice.
        for (let entry = batch[0]; entry; entry = batch[0]) {
          await add([entry]).catch((err) => {
            if (!isFinal(err)) throw err;
            log.error({ err, action: entry?.action }, 'an entry of the audit is refused, and is lost');
          });
          batch.shift();
        }
      }
    },
    (batches, err) =>
      log.error({ err, batches }, 'entries of the audit are lost: storage does not take them'),
    MAX_BATCHES,
  );
}

const isFinal = (error: unknown): boolean => Fault.is(error, 'malformed', 'too-large', 'denied');
