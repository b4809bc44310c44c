import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Type } from '@sinclair/typebox';
import { connect, type StreamConfig } from 'nats';
import { event, unpack } from '#proto/contract/contract.ts';
import { Envelope } from '#proto/contract/envelope.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { JetStreamStore } from '#proto/jetstream/jetstream-store.ts';
import { consumers, streams } from '#proto/jetstream/streams.ts';
import { transferBlob } from '#proto/sync/transfers.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { until } from '../../support/until.ts';

/** The bus while the nats-server, or a process on the bus, dies. */

const counted = event('blob.counted', Type.Object({ n: Type.Integer() }));

const connectAsStorage = (server: TestBus) =>
  connect({
    servers: server.url,
    user: 'storage',
    pass: 'secret-of-storage',
    inboxPrefix: '_INBOX_storage',
  });

/** The configuration of a stream on the server. */
async function streamOf(server: TestBus, name: string, change?: Partial<StreamConfig>) {
  const nc = await connectAsStorage(server);
  const manager = await nc.jetstreamManager();
  if (change) await manager.streams.update(name, change);
  const { config } = await manager.streams.info(name);
  await nc.close();
  return config;
}
/** Resolves once a worker waits for a job. */
async function untilWaiting(server: TestBus): Promise<void> {
  const { stream, name } = consumers.down;
  const nc = await connectAsStorage(server);
  const manager = await nc.jetstreamManager();
  await until(async () => (await manager.consumers.info(stream, name)).num_waiting > 0);
  await nc.close();
}
const ageOfEvents = async (server: TestBus) =>
  (await streamOf(server, streams.events.name)).max_age / 1_000_000;

/** The events in the stream, in their order. */
async function history(server: TestBus): Promise<number[]> {
  const nc = await connectAsStorage(server);
  const numbers: number[] = [];
  const { streams: manager } = await nc.jetstreamManager();
  const { name } = streams.events;
  const { first_seq: first, last_seq: last } = (await manager.info(name)).state;
  for (let seq = first; seq <= last; seq += 1) {
    const { data } = await manager.getMessage(name, { seq });
    numbers.push((unpack(Envelope, data).data as { n: number }).n);
  }
  await nc.close();
  return numbers;
}

describe('outages', { concurrency: true }, () => {
  test('events published while the nats-server is killed are stored once each, in order', async () => {
    await using server = await TestBus.start();
    const storage = await server.connect('storage');
    const gateway = await server.connect('gateway');
    const received: number[] = [];
    gateway.listen(counted, ({ data }) => received.push(data.n));
    await gateway.flush();
    for (let n = 0; n < 200; n += 1) storage.publish(counted, { n });
    await until(() => received.length > 20, 'some events');
    await server.kill();
    for (let n = 200; n < 300; n += 1) storage.publish(counted, { n });
    await server.up();
    // The listener may connect again later than the publisher, and miss some.
    await until(async () => (await history(server)).at(-1) === 299, 'the last event');
    assert.deepEqual(await history(server), [...Array(300).keys()]);
  });

  test('a job is redelivered to another worker when its own dies, and leaves the queue once it is done', async () => {
    await using server = await TestBus.start();
    const [first, second, coordinator] = await Promise.all([
      server.connect('syncer', 'syncer-1'),
      server.connect('syncer', 'syncer-2'),
      server.connect('syncer', 'syncer-3'),
    ]);
    const job = {
      repository: 'a',
      digest: `sha256:${'0'.repeat(64)}`,
      size: 1,
      direction: 'down' as const,
      pass: 'p',
    };
    const end = new AbortController();
    const taken = Promise.withResolvers<void>();
    // It dies with the job in progress: its connection ends, and with it its signs of life.
    const abandoned = first.work('down', transferBlob.down, end.signal, async () => {
      taken.resolve();
      return new Promise(() => {});
    });
    await coordinator.submit(transferBlob.down, job);
    await taken.promise;
    await first[Symbol.asyncDispose]();
    const attempts: number[] = [];
    const working = second.work('down', transferBlob.down, end.signal, async (body, attempt) => {
      assert.deepEqual(body, job);
      attempts.push(attempt);
      return attempts.length < 2 ? { retryMs: 10 } : 'done';
    });
    await until(() => attempts.length === 2, 'two attempts of the second worker');
    await until(async () => (await coordinator.backlog('down')) === 0);
    end.abort();
    await working;
    void abandoned;
  });

  test('a job that waits is redelivered at once on request, as after the clock was set back', async () => {
    await using server = await TestBus.start();
    // As in a layer, the first connection of storage answers for JetStream.
    const storage = await server.connect('storage', 'storage-later');
    const syncer = await server.connect('syncer');
    const job = { repository: 'a', digest: `sha256:${'1'.repeat(64)}`, size: 1, direction: 'down' as const };
    const end = new AbortController();
    let deliveries = 0;
    const working = syncer.work('down', transferBlob.down, end.signal, async () => {
      deliveries += 1;
      return deliveries === 1 ? { retryMs: 3_600_000 } : 'done';
    });
    await syncer.submit(transferBlob.down, { ...job, pass: 'p' });
    await until(() => deliveries === 1, 'the first delivery');
    await storage.redeliverJobs();
    await until(async () => (await syncer.backlog('down')) === 0, 'the second delivery');
    assert.equal(deliveries, 2);
    end.abort();
    await working;
  });

  test('a pending pull for a job fails when its connection breaks', async () => {
    await using server = await TestBus.start();
    const reasons: unknown[] = [];
    const warn = (fields: object) => void reasons.push((fields as { err?: Error }).err?.message);
    const storage = await server.connect('storage', 'storage-test', { ...quiet, warn });
    const end = new AbortController();
    const done: string[] = [];
    const working = storage.work('down', transferBlob.down, end.signal, async ({ pass }) => {
      done.push(pass);
      return 'done';
    });
    const job = { repository: 'a', digest: `sha256:${'0'.repeat(64)}`, size: 1, direction: 'down' as const };
    await storage.submit(transferBlob.down, { ...job, pass: 'before' });
    await until(() => done.includes('before'), 'a job');
    await untilWaiting(server);
    await server.kill();
    await until(() => reasons.includes('lost the connection to the bus'), 'the end of the wait');
    end.abort();
    await working;
  });

  test('what fails since the connection was closed here is no warning, and nothing is created again', async () => {
    await using server = await TestBus.start();
    const warnings: string[] = [];
    const warn = (_fields: object, text: string) => void warnings.push(text);
    const nc = await connectAsStorage(server);
    const store = new JetStreamStore(nc, () => {}, { ...quiet, warn });
    await store.ensure();
    const waiting = assert.rejects(store.queue('down').take());
    await untilWaiting(server);
    await nc.close();
    await assert.rejects(store.queue('down').take());
    store.onDisconnect();
    await waiting;
    await store.ensure();
    assert.deepEqual(warnings, []);
  });

  test('a worker continues after the nats-server lost its store, and ends when aborted', async () => {
    await using server = await TestBus.start();
    const syncer = await server.connect('syncer');
    const end = new AbortController();
    const done: string[] = [];
    const working = syncer.work('down', transferBlob.down, end.signal, async ({ pass }) => {
      done.push(pass);
      return 'done';
    });
    const job = (pass: string) => ({
      repository: 'a',
      digest: `sha256:${'0'.repeat(64)}`,
      size: 1,
      direction: 'down' as const,
      pass,
    });
    await syncer.submit(transferBlob.down, job('before'));
    await until(() => done.includes('before'), 'a job');
    await server.kill({ forget: true });
    await server.up();
    await until(() => {
      syncer.submit(transferBlob.down, job('after')).catch(() => {});
      return done.includes('after');
    }, 'a job after the outage');
    end.abort();
    await working;
  });

  test('a watch survives a restart of the nats-server and the loss of its store', async () => {
    await using server = await TestBus.start();
    const bridge = await server.connect('twin-bridge');
    const gateway = await server.connect('gateway');
    const seen: (string | undefined)[] = [];
    gateway.watch(configuration, CONFIGURATION_KEY, (value) => seen.push(value?.name));
    const write = async (name: string) => {
      const writing: Promise<void>[] = [];
      await until(() => {
        writing.push(
          bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ name })).catch(() => {}),
        );
        return seen.at(-1) === name;
      }, name);
      // A pending retry would write the lost value again.
      await Promise.all(writing);
    };
    await write('one');
    await server.kill();
    await server.up();
    await write('two');
    await server.kill({ forget: true });
    await server.up();
    await until(() => seen.at(-1) === undefined, 'the loss');
    await write('three');
    assert.deepEqual(
      seen.filter((name) => name !== undefined),
      ['one', 'two', 'three'],
    );
  });

  test('the server deletes no events by its clock, also in a stream of an earlier version', async () => {
    await using server = await TestBus.start();
    assert.equal(await ageOfEvents(server), 0);
    await streamOf(server, streams.events.name, { max_age: 200e9 });
    await server.connect('storage', 'storage-later');
    assert.equal(await ageOfEvents(server), 0);
  });

  test('a stream with other limits gets those of the table and keeps its kind', async () => {
    await using server = await TestBus.start();
    await server.connect('syncer');
    const before = await streamOf(server, streams.jobs.name);
    await streamOf(server, streams.jobs.name, { max_bytes: 1_000, max_age: 200e9 });
    await server.connect('storage', 'storage-later');
    assert.deepEqual(await streamOf(server, streams.jobs.name), before);
  });
});
