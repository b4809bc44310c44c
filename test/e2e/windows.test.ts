import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { passFinished } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import { firstDifference, pushImage, tagsOf } from '../support/registry/image.ts';
import { patience, slowedRate, until } from '../support/until.ts';

/** A window that closes during a transfer, and a closed window. */

const MIB = 1024 * 1024;
const RATE = slowedRate(1 * MIB);
/** Length of the first window, and a size that takes longer at this rate. */
const directions = {
  down: { ms: patience(2_500), size: 8 * MIB },
  up: { ms: patience(5_500), size: 12 * MIB },
};
/** Bytes that are in flight when a connection is closed are transferred again. */
const MAX_IN_FLIGHT_BYTES = 4 * 64 * 1024;
type Plan = (typeof directions)['down'];
/** Time that the link takes to close after the end of the window. */
const CLOSING_MS = patience(75);
/** One window may be too short on a slow machine, or while the link is retried. */
const MAX_WINDOWS = 20;
/** Time without requests and bytes that is observed after the window has closed. */
const QUIET_MS = 2_500;
const blobs = /\/blobs\//;

let folder: string;
let cloud: Cloud;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-windows-'));
  cloud = await startCloud();
});
after(async () => {
  await cloud[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A layer behind a link of its own, whose window can be changed. `requestedAt` has the time of each request. */
class WindowedLayer implements AsyncDisposable {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly requestedAt: number[] = [];
  layer!: TestLayer;

  static async start(name: string, window: object): Promise<WindowedLayer> {
    const windowed = new WindowedLayer(
      name,
      await FaultProxy.start(cloud.url, { bandwidth: { total: RATE } }),
    );
    windowed.proxy.fault(() => {
      windowed.requestedAt.push(Date.now());
      return undefined;
    });
    await windowed.configure(window);
    windowed.layer = await testLayer({ configFile: windowed.#file, schedule: 'file', compact: 'hosted' });
    return windowed;
  }

  private constructor(name: string, proxy: FaultProxy) {
    this.name = name;
    this.proxy = proxy;
  }

  get #file(): string {
    return join(folder, `${this.name}.yaml`);
  }

  configure(window: object): Promise<void> {
    const mode = this.name.startsWith('up') ? 'ReadWrite' : 'ReadOnly';
    const repositories = [`${this.name}/*`];
    return writeFile(
      this.#file,
      JSON.stringify({ parent: { url: this.proxy.url }, mode, repositories, ...window }),
    );
  }

  /** Bytes of blobs that crossed the link in either direction. */
  get moved(): number {
    const uploads = this.proxy.requests.filter(({ path }) => blobs.test(path));
    return this.proxy.bytesOf(blobs) + uploads.reduce((sum, { received }) => sum + received, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer?.[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

/** A window that opened two to three minutes ago and closes at `end`. */
function windowUntil(end: number): { schedule: string; window: string } {
  const opened = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 2 * 60_000);
  const schedule = `${opened.getUTCMinutes()} ${opened.getUTCHours()} * * *`;
  return { schedule, window: `PT${Math.round((end - opened.getTime()) / 1_000)}S` };
}

/** Opens one window after another until 1 MiB has moved: how much moves in one depends on the machine. */
async function openWindows(windowed: WindowedLayer, ms: number): Promise<void> {
  for (let count = 1; count <= MAX_WINDOWS; count += 1) {
    // The duration of a window has whole seconds.
    const end = Math.ceil((Date.now() + ms) / 1_000) * 1_000;
    await windowed.configure(windowUntil(end));
    await sleep(Math.max(0, end + CLOSING_MS - Date.now()));
    if (windowed.moved > MIB) return;
  }
  throw new Error(`${windowed.moved} bytes in ${MAX_WINDOWS} windows`);
}

const image = (host: string, name: 'down' | 'up') =>
  pushImage(host, `${name}/app`, 'v1', { layers: [{ seed: name, size: directions[name].size }] });

test('outside the window nothing is requested, except by a pass with `now`', async () => {
  const closedSchedule = `0 ${(new Date().getUTCHours() + 12) % 24} * * *`;
  await using windowed = await WindowedLayer.start('closed', { schedule: closedSchedule, window: 'PT1M' });
  await pushImage(cloud.host, 'closed/app', 'v1', { layers: [5_000] });
  await assert.rejects(windowed.layer.sync(), { code: 'window-closed' });
  assert.deepEqual(windowed.proxy.requests, []);
  const { ok, taken, failures } = await windowed.layer.sync({ now: true });
  assert.deepEqual(failures, []);
  assert.deepEqual([ok, taken], [true, 1]);
  assert.equal(await firstDifference(cloud.host, windowed.layer.host, ['closed/app']), undefined);
  await until(async () => (await windowed.proxy.connections()) === 0, 'no connection is open');
  await assert.rejects(windowed.layer.sync(), { code: 'window-closed' });
});

describe('a window that closes during a transfer', { concurrency: true }, () => {
  for (const [direction, { ms, size }] of Object.entries(directions) as ['down' | 'up', Plan][]) {
    test(`${direction}: a transfer stops with its window and continues in the next one, without repeated bytes`, async (t) => {
      if (direction === 'down') await image(cloud.host, direction);
      const closedWindow = { schedule: `0 ${(new Date().getUTCHours() + 12) % 24} * * *`, window: 'PT1M' };
      await using windowed = await WindowedLayer.start(direction, closedWindow);
      if (direction === 'up') await image(windowed.layer.host, direction);
      assert.equal(windowed.proxy.requests.length, 0);

      await openWindows(windowed, ms);
      const interrupted = await windowed.layer.event(passFinished, ({ ended }) => ended === 'window');
      assert.equal(interrupted.failed, 0);
      // The end of the window may also end a later pass. Due timers run between the two answers.
      for (let attempt = 0; attempt < 2; attempt += 1) {
        await assert.rejects(windowed.layer.sync(), { code: 'window-closed' });
      }
      await until(async () => (await windowed.proxy.connections()) === 0, 'no connection is open');
      const [moved, requests] = [windowed.moved, windowed.requestedAt.length];
      assert.ok(moved < size, `${moved} bytes before`);
      await sleep(QUIET_MS);
      assert.equal(windowed.moved, moved, 'bytes after the end of the window');
      assert.equal(windowed.requestedAt.length, requests, 'requests after the end of the window');

      await windowed.configure(windowUntil(Date.now() + 600_000));
      await windowed.layer.event(
        passFinished,
        (pass) => pass.ok && !pass.ended && pass.taken + pass.sent > 0,
      );
      assert.equal(await firstDifference(cloud.host, windowed.layer.host, [`${direction}/app`]), undefined);
      t.diagnostic(
        `${moved} bytes before, ${windowed.moved - moved} in the last window, of ${size} and a config`,
      );
      const repeated = repeatedBytes(windowed.proxy.requests, blobs);
      assert.ok(repeated <= MAX_IN_FLIGHT_BYTES, `${repeated} bytes came twice`);
      assert.ok(windowed.moved <= size + MAX_IN_FLIGHT_BYTES + 1_000, `${windowed.moved} bytes in all`);
      assert.deepEqual(await tagsOf(cloud.host, `${direction}/app`), ['v1']);
    });
  }
});
