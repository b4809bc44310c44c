import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { metricsOfInstance } from '#proto/status/process-metrics.ts';
import { serveMetrics } from '../../services/process/process-metrics.ts';
import { TestBus } from '../support/bus.ts';

test('each process of a service answers for itself, and reads what it counts only then', async () => {
  await using server = await TestBus.start();
  const gateway = await server.connect('gateway');
  const instances = ['syncer-a.example-1-aa', 'syncer-b.example-1-bb'];
  let reads = 0;
  for (const instance of instances) {
    const bus = await server.connect('syncer');
    const measure = serveMetrics(bus, 'syncer', instance, 1_000);
    measure(() => {
      reads += 1;
      return {};
    });
    await bus.flush();
  }
  assert.equal(reads, 0);
  for (const instance of instances) {
    const metrics = await gateway.call(metricsOfInstance('syncer', instance), {});
    assert.equal(metrics.instance, instance);
    assert.equal(metrics.started, 1_000);
    assert.ok(metrics.cpu.user > 0 && metrics.memory.resident > 0 && metrics.loop.active > 0);
    assert.ok(metrics.bus > 0);
  }
  assert.equal(reads, instances.length);
});

test('a process that has ended does not answer', async () => {
  await using server = await TestBus.start();
  const gateway = await server.connect('gateway');
  const call = gateway.call(metricsOfInstance('syncer', 'syncer-a-1-cc'), {}, { patience: 0 });
  await assert.rejects(call, (error) => Fault.is(error, 'unavailable'));
});
