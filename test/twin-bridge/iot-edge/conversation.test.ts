import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { Conversation } from '../../../services/twin-bridge/iot-edge/conversation.ts';
import type { Properties } from '../../../services/twin-bridge/iot-edge/desired.ts';
import type { Hub } from '../../../services/twin-bridge/iot-edge/hub.ts';
import { TIMING } from '../../../services/twin-bridge/iot-edge/timing.ts';
import { quiet } from '../../support/bus.ts';

test('a report that becomes due during the check for due work is not delayed', async () => {
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
  // Each read advances by 1 ms; the second attempt is due after 1 to 2 ms.
  let time = 0;
  const slept: number[] = [];
  const clock = {
    // The wall clock does not count: it stands still.
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
  const delegate = { take: async () => {}, wanted: { a: 1 } };
  const timing = { ...TIMING, minBackoffMs: 2 };
  await new Conversation(delegate, quiet, timing, clock).run(hub, over.signal);
  assert.equal(reports.length, 2);
  assert.ok(Math.max(0, ...slept) <= 2, `slept for ${slept} ms`);
});
