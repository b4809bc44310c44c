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
import { pushImage, sameContent, tagsOf } from '../support/registry/image.ts';
import { patience, slowed, until } from '../support/until.ts';

/** A window that closes in the middle of a transfer, and one that is not open. */

const MIB = 1024 * 1024;
const RATE = slowed(1 * MIB);
/** How long the first window is, and what takes longer, at this rate. */
const directions = {
  down: { ms: patience(2_500), size: 8 * MIB },
  up: { ms: patience(5_500), size: 12 * MIB },
};
/** A connection's bytes that are on their way when it is closed come once more. */
const ON_THE_WAY = 4 * 64 * 1024;
type Plan = (typeof directions)['down'];
/** What closes the link comes that much later, in ms. */
const SLACK = patience(75);
/** Enough for a machine on which one window is too short, and for a link that is tried again. */
const MAX_WINDOWS = 20;
/** So long nothing may happen after the window has closed. */
const QUIET = 2_500;
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

/** A layer behind a link of its own, whose window can be changed; and when what was asked for was asked. */
class Side implements AsyncDisposable {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly requestedAt: number[] = [];
  layer!: TestLayer;

  static async start(name: string, window: object): Promise<Side> {
    const side = new Side(name, await FaultProxy.start(cloud.url, { bandwidth: { total: RATE } }));
    side.proxy.fault(() => {
      side.requestedAt.push(Date.now());
      return undefined;
    });
    await side.configure(window);
    side.layer = await testLayer({ configFile: side.#file, schedule: 'file', compact: 'hosted' });
    return side;
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

  /** Bytes of blobs that went over the link, either way. */
  get moved(): number {
    const up = this.proxy.requests.filter(({ path }) => blobs.test(path));
    return this.proxy.bytesOf(blobs) + up.reduce((sum, { received }) => sum + received, 0);
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

/** One window after another until enough has moved: how much that is in one depends on the machine. */
async function windows(side: Side, ms: number): Promise<void> {
  for (let windows = 1; windows <= MAX_WINDOWS; windows += 1) {
    // Documents have whole seconds.
    const end = Math.ceil((Date.now() + ms) / 1_000) * 1_000;
    await side.configure(windowUntil(end));
    await sleep(Math.max(0, end + SLACK - Date.now()));
    if (side.moved > MIB) return;
  }
  throw new Error(`${side.moved} bytes in ${MAX_WINDOWS} windows`);
}

const image = (host: string, name: 'down' | 'up') =>
  pushImage(host, `${name}/app`, 'v1', { layers: [{ seed: name, size: directions[name].size }] });

test('outside the window nothing is asked for, except by a pass that is to be made now', async () => {
  const elsewhen = `0 ${(new Date().getUTCHours() + 12) % 24} * * *`;
  await using side = await Side.start('closed', { schedule: elsewhen, window: 'PT1M' });
  await pushImage(cloud.host, 'closed/app', 'v1', { layers: [5_000] });
  await assert.rejects(side.layer.sync(), { code: 'window-closed' });
  assert.deepEqual(side.proxy.requests, []);
  const { ok, taken, failures } = await side.layer.sync({ now: true });
  assert.deepEqual(failures, []);
  assert.deepEqual([ok, taken], [true, 1]);
  assert.equal(await sameContent(cloud.host, side.layer.host, ['closed/app']), undefined);
  await until(async () => (await side.proxy.connections()) === 0, 'no connection is open');
  await assert.rejects(side.layer.sync(), { code: 'window-closed' });
});

describe('a window that closes in the middle', { concurrency: true }, () => {
  for (const [direction, { ms, size }] of Object.entries(directions) as ['down' | 'up', Plan][]) {
    test(`${direction}: a transfer stops when the window closes and goes on in the next one, and nothing goes twice`, async (t) => {
      if (direction === 'down') await image(cloud.host, direction);
      const elsewhen = { schedule: `0 ${(new Date().getUTCHours() + 12) % 24} * * *`, window: 'PT1M' };
      await using side = await Side.start(direction, elsewhen);
      if (direction === 'up') await image(side.layer.host, direction);
      assert.equal(side.proxy.requests.length, 0);

      await windows(side, ms);
      const broken = await side.layer.event(passFinished, ({ ended }) => ended === 'window');
      assert.equal(broken.failed, 0);
      // The end of the window may also end a later pass. Timers that are due run between two answers.
      for (let asked = 0; asked < 2; asked += 1) {
        await assert.rejects(side.layer.sync(), { code: 'window-closed' });
      }
      await until(async () => (await side.proxy.connections()) === 0, 'no connection is open');
      const [moved, requests] = [side.moved, side.requestedAt.length];
      assert.ok(moved < size, `${moved} bytes before`);
      await sleep(QUIET);
      assert.equal(side.moved, moved, 'bytes after the end of the window');
      assert.equal(side.requestedAt.length, requests, 'requests after the end of the window');

      await side.configure(windowUntil(Date.now() + 600_000));
      await side.layer.event(passFinished, (pass) => pass.ok && !pass.ended && pass.taken + pass.sent > 0);
      assert.equal(await sameContent(cloud.host, side.layer.host, [`${direction}/app`]), undefined);
      t.diagnostic(
        `${moved} bytes before, ${side.moved - moved} in the last window, of ${size} and a config`,
      );
      const repeated = repeatedBytes(side.proxy.requests, blobs);
      assert.ok(repeated <= ON_THE_WAY, `${repeated} bytes came twice`);
      assert.ok(side.moved <= size + ON_THE_WAY + 1_000, `${side.moved} bytes in all`);
      assert.deepEqual(await tagsOf(cloud.host, `${direction}/app`), ['v1']);
    });
  }
});
