import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';

/** What transfers report to, which shows nothing. Counters are kept. */
export const quietActivity = (counters = new TransferCounters()) => ({
  counters,
  moved() {},
  begin: () => ({
    crosses() {},
    attempts() {},
    reached() {},
    copied() {},
    waits() {},
    [Symbol.dispose]() {},
  }),
});
