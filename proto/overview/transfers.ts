import type { TransferItem, Transfers } from '../api/transfers.ts';
import type { JobSubmitter } from '../bus/roles.ts';
import type { SyncerStatus } from '../status/status.ts';
import { crossingBytes } from '../sync/crossing.ts';
import type { Direction } from '../sync/transfers.ts';

/** What crosses the link, blob by blob, from the states of the syncers. */

/** Max blobs in an answer. */
const MAX_ITEMS = 1_000;

/** Those that move first, the fastest first; then those that begin, and those that wait. Pure. */
export function transferItems(syncers: readonly SyncerStatus[]): TransferItem[] {
  const items = syncers.flatMap(({ instance, transfers }) =>
    transfers.map(({ attempts = 1, ...transfer }): TransferItem => {
      const { done = 0, rate = 0, waits } = transfer;
      const isMoving = rate > 0 && waits === undefined;
      return {
        ...transfer,
        ...(isMoving && { left: Math.ceil(Math.max(0, crossingBytes(transfer) - done) / rate) }),
        ...{ syncer: instance, retries: Math.max(0, attempts - 1) },
      };
    }),
  );
  const rank = ({ rate = 0, waits }: TransferItem) => (waits === undefined ? rate : -1);
  return items.sort((a, b) => rank(b) - rank(a)).slice(0, MAX_ITEMS);
}

/** About how many wait for a syncer: jobs that run are in the queue, too. Undefined if the queue can't be read. */
export async function waitingTransfers(
  bus: Pick<JobSubmitter, 'backlog'>,
  syncers: readonly SyncerStatus[],
): Promise<Transfers['waiting']> {
  const waiting = async (direction: Direction) => {
    const active = syncers
      .flatMap(({ transfers }) => transfers)
      .filter((one) => one.direction === direction).length;
    return Math.max(0, (await bus.backlog(direction)) - active);
  };
  try {
    const [down, up] = await Promise.all([waiting('down'), waiting('up')]);
    return { down, up };
  } catch {
    return undefined;
  }
}
