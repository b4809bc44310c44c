import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus.ts';
import {
  type Active,
  activateChild,
  checkChild,
  deactivateChild,
  layerInstance,
  listChildren,
} from '#proto/children.ts';
import { type Buses, connectAll, fault, Rig } from './rig.ts';

/** Which instance of a layer below is active, and which one this layer is. */

let buses: Buses;
let operator: Bus;
before(async () => {
  buses = await connectAll();
  operator = await buses.server.connect('operator');
});
after(() => buses.server[Symbol.asyncDispose]());

const activate = (name: string, instance: string) => buses.gateway.call(activateChild, { name, instance });

test('one instance of a child is active: of several that ask at once, one', async () => {
  await using rig = await Rig.open(buses);
  const instances = ['a', 'b', 'c', 'd'];
  const answers = await Promise.allSettled(instances.map((instance) => activate('line', instance)));
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
  const [active]: Active[] = (await operator.call(listChildren, {})).children;
  assert.deepEqual(active, { name: 'line', instance: active?.instance, since: rig.now, seen: rig.now });
  for (const instance of instances) {
    const isActive: boolean = instance === active?.instance;
    const { free } = await buses.gateway.call(checkChild, { name: 'line', instance });
    assert.equal(free, isActive);
    if (isActive) await activate('line', instance);
    else await assert.rejects(activate('line', instance), fault('already-activated'));
  }
  assert.equal((await activate('other', 'b')).instance, 'b');
});

test('after a deactivation the next one is active, and the one before is not', async () => {
  await using _rig = await Rig.open(buses);
  await activate('line', 'a');
  assert.deepEqual(await operator.call(deactivateChild, { name: 'line' }), { was: true });
  assert.deepEqual(await operator.call(deactivateChild, { name: 'line' }), { was: false });
  await activate('line', 'b');
  await assert.rejects(activate('line', 'a'), fault('already-activated'));
});

test('what was answered is so after storage was opened again', async () => {
  await using rig = await Rig.open(buses);
  await activate('line', 'a');
  const { instance } = await buses.syncer.call(layerInstance, {});
  await rig.restart();
  await assert.rejects(activate('line', 'b'), fault('already-activated'));
  assert.equal((await buses.syncer.call(layerInstance, {})).instance, instance);
});

test('when a child was last heard is known to the minute', async () => {
  await using rig = await Rig.open(buses);
  const since = rig.now;
  await activate('line', 'a');
  rig.now += 61_000;
  await activate('line', 'a');
  const [active] = (await operator.call(listChildren, {})).children;
  assert.deepEqual([active?.since, active?.seen], [since, rig.now]);
});
