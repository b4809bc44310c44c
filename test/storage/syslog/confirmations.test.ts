import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Confirmations } from '../../../services/storage/syslog/confirmations.ts';
import { until } from '../../support/until.ts';

/** What counts as delivered, by what the kernel of the receiver acknowledges. */

const positionOf = (number: number) => ({ file: '', offset: 0, tail: '', number });
const TIMES = { settleMs: 1, unseenMs: 1, stallMs: 3_600_000 };
const HOUR = 3_600_000;

/** @returns the number that is delivered after each check but the last. @param queues of each check */
async function run(queues: (number | undefined)[], times = TIMES): Promise<(number | undefined)[]> {
  const after: (number | undefined)[] = [];
  let delivered: number | undefined;
  let ended = false;
  const connection = {
    unacknowledged: async () => {
      if (after.length < queues.length) after.push(delivered);
      return queues[after.length - 1];
    },
    destroy: () => {
      ended = true;
    },
  };
  using confirmations = new Confirmations(connection, times, async ({ position }) => {
    delivered = position.number;
  });
  confirmations.taken(100, { position: positionOf(1), reported: 0 });
  // A check is complete when the next one begins, or when everything is delivered.
  await until(() => ended || after.length === queues.length);
  return after.slice(1);
}

test('what is acknowledged is delivered; what is not, or is not known to be, waits', async () => {
  assert.deepEqual(await run([50, 50, 20]), [undefined, undefined]);
  assert.deepEqual(await run([50, 50, 50, 0]), [undefined, undefined, undefined]);
  assert.deepEqual(await run([undefined, undefined], { ...TIMES, unseenMs: HOUR }), [undefined]);
});

test('a connection on which nothing is acknowledged fails', async () => {
  const cause = Promise.withResolvers<Error>();
  const connection = { unacknowledged: async () => 100, destroy: cause.resolve };
  using confirmations = new Confirmations(connection, { ...TIMES, stallMs: 1 }, async () => {
    assert.fail('nothing is delivered');
  });
  confirmations.taken(100, { position: positionOf(1), reported: 0 });
  assert.match((await cause.promise).message, /^the receiver took nothing for \d+ s$/);
});

test('over a connection that is blocked, nothing is delivered that was not followed by more', async () => {
  const delivered: number[] = [];
  const queues = [100, 100, 40, 30, 0];
  let checks = 0;
  const connection = {
    unacknowledged: async () => {
      checks += 1;
      return queues[Math.min(checks, queues.length) - 1];
    },
    destroy: assert.fail,
  };
  using confirmations = new Confirmations(connection, TIMES, async ({ position, reported }) => {
    delivered.push(position.number, reported, checks);
  });
  // Each is a checkpoint of its own: the second one begins after the time in which they are one.
  confirmations.taken(100, { position: positionOf(1), reported: 2 });
  await until(() => checks === 1);
  confirmations.taken(100, { position: positionOf(2), reported: 3 });
  await until(() => delivered.length >= 6);
  // 100 of 200 are acknowledged at the second check, and more at the third.
  assert.deepEqual(delivered, [1, 2, 3, 2, 3, 5]);
});
