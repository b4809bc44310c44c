import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BusCaller, EventPublisher, StateReader, StateWatcher, StateWriter } from '#proto/bus/roles.ts';
import { Publisher } from '../../services/twin-bridge/publish.ts';
import { quiet } from '../support/bus.ts';
import { configurationWith } from '../support/configuration.ts';
import { until } from '../support/until.ts';

test('an unreadable configuration of an earlier version is overwritten', async () => {
  const wanted = configurationWith();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const bus = {
    watch: () => () => {},
    // A value that can't be read counts as none.
    get: async () => undefined,
    put: async (_state: unknown, _key: unknown, value: unknown) => resolve(value),
    publish: () => {},
    call: async () => ({}),
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(wanted);
  assert.deepEqual(await promise, wanted);
});

test('a change is in force although storage is unavailable, and is recorded in the audit once storage answers', async () => {
  const published = Promise.withResolvers<void>();
  const available = Promise.withResolvers<void>();
  const recorded: unknown[] = [];
  const bus = {
    watch: () => () => {},
    get: async () => ({ value: configurationWith() }),
    put: async () => {},
    publish: () => published.resolve(),
    // As a requester: it repeats the request until the service is there, but not longer than the caller's patience.
    call: async (_contract: unknown, query: unknown, { patience }: { patience: number }) => {
      await Promise.race([available.promise, sleep(patience, undefined, { ref: false })]);
      recorded.push(query);
    },
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(configurationWith({ eventTtl: 'P1D' }));
  await published.promise;
  assert.deepEqual(recorded, []);
  available.resolve();
  await until(() => recorded.length === 1);
});
