import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerPool } from '../../../services/syncer/transfer/worker-pool.ts';
import { patience } from '../../support/until.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

/** An endless queue of small blobs, each of which takes 100 ms. */
class Blobs {
  running = 0;
  maxRunning = 0;
  readonly pool = new WorkerPool(log);
  readonly #reached = new Map<number, () => void>();

  work = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) await this.pool.job(() => this.#blob());
  };

  /** Resolves when `count` blobs run at a time. */
  reach(count: number): Promise<void> {
    return new Promise((resolve) => this.#reached.set(count, resolve));
  }

  async #blob(): Promise<void> {
    this.running += 1;
    this.maxRunning = Math.max(this.maxRunning, this.running);
    this.#reached.get(this.running)?.();
    using _slot = await this.pool.slots.take();
    await sleep(100);
    this.pool.slots.gauge.moved(10_000);
    this.running -= 1;
  }
}

test('more small blobs run in parallel while that raises the throughput', {
  timeout: patience(),
}, async () => {
  const blobs = new Blobs();
  await using pool = blobs.pool;
  pool.maxConnections = 32;
  pool.start(blobs.work);
  assert.equal(pool.slots.count, 4);
  await blobs.reach(9);
});

test('a changed maximum applies at once, and active jobs are finished', {
  timeout: patience(),
}, async () => {
  const blobs = new Blobs();
  await using pool = blobs.pool;
  pool.maxConnections = 2;
  pool.start(blobs.work);
  await blobs.reach(2);
  assert.equal(blobs.maxRunning, 2);
  pool.maxConnections = 4;
  await blobs.reach(4);
  pool.maxConnections = 1;
  assert.equal(pool.slots.count, 1);
  await pool[Symbol.asyncDispose]();
  assert.equal(blobs.running, 0);
});

test('a job that needs no connection for a while leaves its place to another one', {
  timeout: patience(),
}, async () => {
  await using pool = new WorkerPool(log);
  pool.maxConnections = 1;
  const second = Promise.withResolvers<void>();
  const first = Promise.withResolvers<void>();
  let begun = 0;
  pool.start(async (stopped) => {
    while (!stopped.aborted && begun < 3) {
      begun += 1;
      const number = begun;
      await pool.job(async (aside) => {
        if (number === 1) {
          await aside(() => second.promise);
          first.resolve();
        } else second.resolve();
      });
    }
  });
  await first.promise;
});
