import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { Type } from '@sinclair/typebox';
import { connect, createInbox, headers, type NatsConnection } from 'nats';
import type { Bus } from '#proto/bus/bus.ts';
import { scrub } from '#proto/content/maintenance.ts';
import { request } from '#proto/contract/contract.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { inboxOf, type UserName } from '#proto/contract/users.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { buckets, streams } from '#proto/jetstream/streams.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { patience, until } from '../../support/until.ts';

/**
 * No user can make another user send a message for it (a confused deputy): a request is answered only in the inbox of a
 * user that may send it.
 */

const raw = (server: TestBus, user: UserName) =>
  connect({ servers: server.url, user, pass: `secret-of-${user}`, inboxPrefix: inboxOf(user) });

const envelope = (more: object = {}): Envelope => ({
  specversion: '1.0',
  id: 'x-1',
  source: '/layers/test/x',
  type: 'terrace.pass.started',
  time: new Date().toISOString(),
  data: {},
  ...more,
});

async function namesOf(storage: NatsConnection): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (await storage.jetstreamManager()).streams.names()) names.push(name);
  return names.sort();
}
const expectedNames = [
  ...Object.values(streams).map(({ name }) => name),
  ...Object.keys(buckets).map((name) => `KV_${name}`),
];

const programs = ['nats-server', process.env.TERRACE_TEST_NATS_SERVER].filter((name) => !!name);
for (const program of programs) {
  describe(`on ${program}`, () => {
    let server: TestBus;
    let storage: Bus;
    let owner: NatsConnection;
    before(async () => {
      server = await TestBus.start(program);
      storage = await server.connect('storage');
      owner = await raw(server, 'storage');
    });
    after(async () => {
      await owner.close();
      await server[Symbol.asyncDispose]();
    });

    test('no answer is published on a subject that would make it a message of another user', async () => {
      const scrubs: unknown[] = [];
      storage.serve(scrub, async (query) => {
        scrubs.push(query);
        return { blobs: 0, bytes: 0, damaged: 0, recovered: 0 } as never;
      });
      const bridge = await server.connect('twin-bridge');
      await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ name: 'mine' }));
      const targets = [
        scrub.subject,
        `$KV.configuration.${CONFIGURATION_KEY}`,
        'jobs.transfer.down',
        'events.tag.moved',
        '$JS.API.STREAM.PURGE.EVENTS',
        '$JS.API.STREAM.DELETE.KV_configuration',
        '$JS.API.STREAM.CREATE.COPY',
        'storage.append.events.tag.moved',
        'storage.state.configuration.put',
      ];
      const config = encode({ name: 'COPY', subjects: ['_INBOX_operator.>'] });
      for (const user of ['monitor', 'syncer', 'gateway', 'operator'] as const) {
        const nc = await raw(server, user);
        const queries: [string, unknown][] = [
          ['storage.history.show', {}],
          ['storage.history.read', { from: { sequence: 1 } }],
          ...(user === 'syncer'
            ? ([
                ['storage.state.link.put', { key: 'parent', bytes: config }],
                ['storage.state.link.get', { key: 'parent' }],
                ['storage.append.events.pass.started', { events: [{ id: 'a', bytes: encode(envelope()) }] }],
                ['storage.job.submit', { queue: 'down', bytes: config }],
              ] as [string, unknown][])
            : []),
        ];
        for (const reply of targets) {
          for (const [subject, query] of queries) {
            nc.publish(subject, encode(query), { reply });
            // Newer servers publish the route of a message on this subject.
            const trace = headers();
            trace.set('Nats-Trace-Dest', reply);
            nc.publish(subject, encode(query), { headers: trace });
          }
        }
        await nc.flush();
        // Requests of one connection are handled in order: the earlier ones are finished when this one is answered.
        await nc.request('storage.history.show', encode({}), { timeout: patience(10_000) });
        await nc.close();
      }
      await storage.flush();
      assert.deepEqual(scrubs, []);
      assert.deepEqual(await namesOf(owner), expectedNames.sort());
      assert.equal((await bridge.get(configuration, CONFIGURATION_KEY))?.value.name, 'mine');
      const manager = await owner.jetstreamManager();
      assert.equal((await manager.streams.info('JOBS')).state.messages, 0);
      assert.equal((await manager.streams.info('EVENTS')).state.messages, 0);
    });

    test('a request whose reply subject is not an inbox of a permitted user is not handled', async () => {
      const contract = request('storage.token.ask', Type.Object({}), Type.Object({}));
      let handled = 0;
      storage.serve(contract, async () => {
        handled += 1;
        return {};
      });
      const operator = await raw(server, 'operator');
      for (const reply of [
        '',
        '_INBOX.x',
        `${inboxOf('monitor')}.x`,
        `${inboxOf('gateway')}.x`,
        '$JS.ACK.EVENTS.x',
      ]) {
        operator.publish(contract.subject, encode({}), reply ? { reply } : {});
      }
      await operator.request(contract.subject, encode({}), { timeout: patience(10_000) });
      assert.equal(handled, 1);
      await operator.close();
    });

    test('the number of consumers that read the history is bounded', async () => {
      const monitor = await raw(server, 'monitor');
      const { consumers } = await owner.jetstreamManager();
      const read = async (sequence: number) => {
        const query = { from: { sequence }, wait: 2_000 };
        const answer = await monitor.request('storage.history.read', encode(query), {
          timeout: patience(10_000),
        });
        return (decode(answer.data) as { code?: string }).code ?? 'read';
      };
      const reading = Promise.all(Array.from({ length: 300 }, (_, index) => read(1_000 + index)));
      const made = (await consumers.list('EVENTS').next()).length;
      const answers = await reading;
      assert.ok(answers.filter((code) => code === 'too-many').length > 200, String(answers));
      const left = (await consumers.list('EVENTS').next()).length;
      assert.ok(made <= 40 && left <= 40, `${made}, then ${left} consumers`);
      await monitor.close();
    });

    test('an event is stored with the fields of an envelope only, and its type has to match its subject', async () => {
      const syncer = await raw(server, 'syncer');
      const append = async (type: string, event: object) => {
        const query = { events: [{ id: createInbox(), bytes: encode(event) }] };
        const answer = await syncer.request(`storage.append.events.${type}`, encode(query), {
          timeout: patience(10_000),
        });
        return decode(answer.data) as { sequences?: number[]; code?: string; message?: string };
      };
      const wrong = await append('pass.finished', envelope());
      assert.equal(wrong.code, 'malformed');
      assert.equal((await append('pass.started', { id: 'x' })).code, 'malformed');
      const { sequences } = await append('pass.started', envelope({ rate: 1, actions: ['*'] }));
      const sequence = sequences?.[0] ?? 0;
      const { data } = await (await owner.jetstreamManager()).streams.getMessage('EVENTS', { seq: sequence });
      const fields = Object.keys(decode(data) as object).sort();
      assert.deepEqual(fields, ['data', 'id', 'source', 'specversion', 'time', 'type']);
      await syncer.close();
    });

    test('streams and consumers that other users created under an earlier version are deleted', async () => {
      const manager = await owner.jetstreamManager();
      await manager.streams.add({ name: 'COPY', subjects: ['_INBOX_operator.>'] });
      for (let index = 0; index < 30; index += 1) {
        const push = {
          durable_name: `push-${index}`,
          deliver_subject: 'storage.scrub.run',
          ack_policy: 'none',
        };
        await manager.consumers.add('EVENTS', push as never);
      }
      const warnings: { stream?: string; consumers?: string[]; count?: number }[] = [];
      await server.connect('storage', 'storage-next', {
        ...quiet,
        warn: (fields) => void warnings.push(fields),
      });
      assert.deepEqual(await namesOf(owner), expectedNames.sort());
      const left: string[] = [];
      for await (const { name } of manager.consumers.list('EVENTS')) left.push(name);
      assert.deepEqual(
        left.filter((name) => name.startsWith('push')),
        [],
      );
      assert.ok(warnings.some(({ stream }) => stream === 'COPY'));
      const deletion = warnings.find(({ stream }) => stream === 'EVENTS');
      assert.equal(deletion?.count, 30, "storage's own readers are not counted");
      assert.equal(deletion.consumers?.length, 20, 'the deleted consumers are named, up to a limit');
      assert.ok(deletion.consumers.every((name) => name.startsWith('push-')));
    });

    test('a bucket of an earlier version gets the limits of the table', async () => {
      const manager = await owner.jetstreamManager();
      const { config } = await manager.streams.info('KV_services');
      await manager.streams.update('KV_services', {
        ...config,
        max_age: 20e9,
        duplicate_window: 20e9,
        max_bytes: -1,
      });
      await server.connect('storage', 'storage-later');
      const { max_age, max_bytes } = (await manager.streams.info('KV_services')).config;
      const { ttlMs, maxBytes } = buckets.services;
      assert.deepEqual([max_age, max_bytes], [ttlMs * 1e6, maxBytes]);
    });
  });
}

test('a request that the user may not send fails with the reason', async () => {
  await using server = await TestBus.start();
  const monitor: Bus = await server.connect('monitor');
  await assert.rejects(
    monitor.call(scrub, {}),
    /the bus user has no permission to request storage\.scrub\.run/,
  );
});

test('a job requested by a worker that died meanwhile goes to another worker', async () => {
  await using server = await TestBus.start();
  const { transferBlob } = await import('#proto/sync/transfers.ts');
  const [dead, alive] = [await raw(server, 'syncer'), await server.connect('syncer')];
  const taking = dead
    .request('storage.job.take', encode({ queue: 'down' }), { timeout: patience(10_000) })
    .catch(() => {});
  await dead.flush();
  await dead.close();
  await taking;
  const blob = {
    repository: 'a',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1,
    direction: 'down' as const,
    pass: 'p',
  };
  await alive.submit(transferBlob.down, blob);
  const done = Promise.withResolvers<void>();
  const end = new AbortController();
  const working = alive.work('down', transferBlob.down, end.signal, async () => {
    done.resolve();
    return 'done';
  });
  await done.promise;
  end.abort();
  await working;
  await until(async () => (await alive.backlog('down')) === 0, 'the job is acknowledged');
});
