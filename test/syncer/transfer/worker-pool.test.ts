import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerPool } from '../../../services/syncer/transfer/worker-pool.ts';
import { patience } from '../../support/until.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

/** A queue without end of small blobs, each on its way for 100 ms. */
class Blobs {
  running = 0;
  most = 0;
  readonly crew = new WorkerPool(log);
  readonly #reached = new Map<number, () => void>();

  work = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) await this.crew.job(() => this.#blob());
  };

  /** Resolves when so many are under way at a time. */
  reach(count: number): Promise<void> {
    return new Promise((resolve) => this.#reached.set(count, resolve));
  }

  async #blob(): Promise<void> {
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    this.#reached.get(this.running)?.();
    using _slot = await this.crew.slots.take();
    await sleep(100);
    this.crew.slots.gauge.moved(10_000);
    this.running -= 1;
  }
}

test('more small blobs come at a time while more bring more', { timeout: patience() }, async () => {
  const blobs = new Blobs();
  await using crew = blobs.crew;
  crew.maxConnections = 32;
  crew.start(blobs.work);
  assert.equal(crew.slots.count, 4);
  await blobs.reach(9);
});

test('a ceiling that is changed counts at once, and what is in hand is finished', {
  timeout: patience(),
}, async () => {
  const blobs = new Blobs();
  await using crew = blobs.crew;
  crew.maxConnections = 2;
  crew.start(blobs.work);
  await blobs.reach(2);
  assert.equal(blobs.most, 2);
  crew.maxConnections = 4;
  await blobs.reach(4);
  crew.maxConnections = 1;
  assert.equal(crew.slots.count, 1);
  await crew[Symbol.asyncDispose]();
  assert.equal(blobs.running, 0);
});
