import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';
import type { TwinClock } from '../../../services/twin-bridge/iot-edge/conversation.ts';
import type { Hub, HubOptions } from '../../../services/twin-bridge/iot-edge/hub.ts';
import { TIMING } from '../../../services/twin-bridge/iot-edge/timing.ts';
import { startTwin } from '../../../services/twin-bridge/iot-edge/twin.ts';
import { quiet } from '../../support/bus.ts';
import { random as seeded } from '../../support/time/random.ts';

/** A year of a module on a simulated clock: tokens, outages of hub and daemon, lost patches. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A simulated clock. Sleepers wake in the order of their times, once nothing else is left to run. */
class SimulatedClock implements TwinClock {
  time = Date.UTC(2028, 0, 1);
  readonly #waiting = new Set<{ at: number; wake: () => void }>();

  now(): number {
    return this.time;
  }

  running(): number {
    return this.time;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = {
        at: this.time + ms,
        wake: () => {
          this.#waiting.delete(sleeper);
          signal.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#waiting.add(sleeper);
      signal.addEventListener('abort', sleeper.wake);
    });
  }

  get count(): number {
    return this.#waiting.size;
  }

  async until(end: number): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      let next: { at: number; wake: () => void } | undefined;
      for (const one of this.#waiting) if (!next || one.at < next.at) next = one;
      if (!next || next.at > end) break;
      this.time = Math.max(this.time, next.at);
      next.wake();
    }
    this.time = end;
  }
}

/** Stand-in for the hub and the daemon of the module. */
class Device {
  readonly clock = new SimulatedClock();
  up = true;
  signs = true;
  desired: { $version: number; at: number } = { $version: 1, at: 0 };
  reported: Record<string, unknown> = {};
  sessions = 0;
  gets = 0;
  live: { until: number; end: (why: string) => void } | undefined;

  readonly workload: Workload = {
    identity: { module: 'm', generation: '1', device: 'd', hub: 'h', gateway: 'g' },
    trustBundle: async () => 'ca',
    sign: async () => {
      if (!this.signs) throw new Fault('unavailable', 'the daemon is away');
      return 'signed';
    },
    serverCertificate: () => Promise.reject(new Error('unexpected request')),
  };

  readonly connect = async ({ password, signal }: HubOptions): Promise<Hub> => {
    if (!this.up) throw new Fault('unavailable', 'ECONNREFUSED');
    this.sessions += 1;
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    const until =
      Number(new URLSearchParams(password.replace('SharedAccessSignature ', '')).get('se')) * 1_000;
    this.live = { until, end: resolve };
    const ensureConnected = () => {
      signal.throwIfAborted();
      if (!this.up) throw new Fault('unavailable', 'the connection is lost');
      assert.ok(this.clock.now() < until, 'no request uses an expired signature');
    };
    return {
      ended,
      twin: async () => {
        ensureConnected();
        this.gets += 1;
        return { desired: { ...this.desired }, reported: { ...this.reported } };
      },
      report: async (patch) => {
        ensureConnected();
        Object.assign(this.reported, patch);
      },
      [Symbol.asyncDispose]: async () => {
        this.live = undefined;
      },
    };
  };
}

test('for a year, sessions recover soon and never outlive a signature, and nothing is lost or leaked', async (t) => {
  const device = new Device();
  const { clock } = device;
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const random = seeded(seed);
  const folder = await mkdtemp(join(tmpdir(), 'terrace-year-'));
  const { workload, connect } = device;
  const received: number[] = [];
  const twin = startTwin({ workload, dataFolder: folder, methods: new Map(), log: quiet, clock, connect });
  twin.watch((document) => {
    if ('text' in document) received.push((JSON.parse(document.text) as { at: number }).at);
    return undefined;
  });
  const start = clock.now();
  // The first read of the disk takes real time.
  while (device.sessions === 0) await new Promise(setImmediate);
  let disturbances = 0;
  for (let day = 0; day < (process.env.TERRACE_FULL ? 366 : 60); day += 1) {
    const morning = start + day * DAY;
    await clock.until(morning + Math.floor(random() * 6 * HOUR));
    const kind = Math.floor(random() * 4);
    const away = 10 * MINUTE + Math.floor(random() * 8 * HOUR);
    if (kind > 0) disturbances += 1;
    if (kind === 1) {
      device.up = false;
      device.live?.end('edgeHub closed the connection');
    } else if (kind === 2) {
      device.signs = false;
      device.live?.end('edgeHub closed the connection');
    } else if (kind === 3) device.live?.end('cut');
    // The hub sends no patch.
    device.desired = { $version: day + 2, at: day + 1 };
    twin.report({ day, list: [day] });
    await clock.until(clock.now() + away);
    device.up = true;
    device.signs = true;
    await clock.until(clock.now() + TIMING.maxBackoffMs + TIMING.resyncMs + MINUTE);
    assert.equal(twin.session.connected, true, `day ${day}, ${kind}: ${twin.session.detail}`);
    assert.equal(received.at(-1), day + 1, 'the properties desired meanwhile have arrived');
    assert.deepEqual(device.reported, { day, list: [day] });
    assert.ok(device.live && device.live.until > clock.now(), 'the signature of the session is good');
    assert.ok(clock.count <= 3, `${clock.count} timers`);
  }
  const hours = (clock.now() - start) / HOUR;
  const renewals = hours / ((TIMING.tokenMs - TIMING.marginMs) / HOUR);
  assert.ok(
    device.sessions <= renewals + 2 * disturbances + 2,
    `${device.sessions} sessions, ${renewals} renewals`,
  );
  assert.ok(device.sessions >= renewals * 0.6, `${device.sessions} sessions, ${renewals} renewals`);
  assert.ok(device.gets <= hours * 13 + device.sessions * 2, `${device.gets} reads in ${hours} hours`);
  const ended = twin[Symbol.asyncDispose]();
  await clock.until(clock.now() + MINUTE);
  await ended;
  await rm(folder, { recursive: true });
});
