import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/fault.ts';
import { Conversation } from '../../../services/twin-bridge/iot-edge/conversation.ts';
import type { Properties } from '../../../services/twin-bridge/iot-edge/desired.ts';
import type { Hub } from '../../../services/twin-bridge/iot-edge/hub.ts';
import { TIMING } from '../../../services/twin-bridge/iot-edge/timing.ts';
import { quiet } from '../../support/bus.ts';

test('a report becomes due while it is decided that nothing is: it is not left until the next look', async () => {
  const over = new AbortController();
  const reports: Properties[] = [];
  const hub: Hub = {
    ended: new Promise(() => {}),
    twin: async () => ({ desired: { $version: 1 }, reported: { $version: 1 } }),
    report: async (patch) => {
      reports.push(patch);
      if (reports.length === 1) throw new Fault('unavailable', 'throttled', { detail: { status: 429 } });
      over.abort();
    },
    [Symbol.asyncDispose]: async () => {},
  };
  // Each look at it is a millisecond later, and the second attempt is due after one to two.
  let time = 0;
  const slept: number[] = [];
  const clock = {
    // The clock of the day stands still, or is set back all the time.
    now: () => 0,
    running: () => {
      time += 1;
      return time;
    },
    sleep: async (ms: number) => {
      slept.push(ms);
      time += ms;
    },
  };
  const standing = { take: async () => {}, wanted: { a: 1 } };
  const timing = { ...TIMING, leastPause: 2 };
  await new Conversation(standing, quiet, timing, clock).run(hub, over.signal);
  assert.equal(reports.length, 2);
  assert.ok(Math.max(0, ...slept) <= 2, `slept for ${slept} ms`);
});
