import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pack, unpack } from '#proto/contract/contract.ts';
import { Fault, fromWire, toWire, WireFault } from '#proto/contract/fault.ts';

const overTheWire = (error: unknown) => fromWire(unpack(WireFault, pack(WireFault, toWire(error))));

test('a fault crosses the wire with its code, sentence and detail', () => {
  const fault = overTheWire(new Fault('range-invalid', 'begin at 5', { detail: { offset: 5 } }));
  assert.equal(fault.code, 'range-invalid');
  assert.equal(fault.message, 'begin at 5');
  assert.deepEqual(fault.detail, { offset: 5 });
  assert.ok(Fault.is(fault) && Fault.is(fault, 'busy', 'range-invalid') && !Fault.is(fault, 'busy'));
});

test('any other error becomes an internal fault without its message', () => {
  const fault = overTheWire(new TypeError('secret of /etc/passwd'));
  assert.equal(fault.code, 'internal');
  assert.doesNotMatch(fault.message, /secret/);
  assert.equal(overTheWire(undefined).code, 'internal');
});

test('a full disk is a no-space fault', () => {
  assert.equal(overTheWire(Object.assign(new Error('write'), { code: 'ENOSPC' })).code, 'no-space');
  assert.equal(overTheWire(Object.assign(new Error('write'), { code: 'EDQUOT' })).code, 'no-space');
});

test('an unknown code, from another version, becomes internal', () => {
  assert.equal(fromWire({ code: 'tea-pot', message: 'short and stout' }).code, 'internal');
});

test('the message of a fault is clipped to a length that an event can carry', () => {
  const { message } = new Fault('parent-invalid', `it says ${'x'.repeat(1_000_000)}`);
  assert.ok(message.startsWith('it says x') && message.endsWith('x…') && message.length < 2_100);
});
