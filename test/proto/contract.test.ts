import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { Type } from '@sinclair/typebox';
import { check, pack, unpack } from '#proto/contract.ts';
import { Fault } from '#proto/fault.ts';

const Question = Type.Object({
  name: Type.String(),
  size: Type.Integer({ minimum: 0 }),
  note: Type.Optional(Type.String()),
});

const malformed = (pattern: RegExp) => (error: unknown) =>
  Fault.is(error, 'malformed') && pattern.test(error.message);

test('a value goes over the wire and back', () => {
  const value = { name: 'a', size: 2 ** 40, note: 'ü' };
  assert.deepEqual(unpack(Question, pack(value)), value);
});

test('a field without a value is left out, and does not arrive as null', () => {
  assert.deepEqual(unpack(Question, pack({ name: 'a', size: 1, note: undefined })), { name: 'a', size: 1 });
});

test('what is not as declared is malformed, and the fault names the field', () => {
  assert.throws(() => unpack(Question, pack({ name: 'a', size: -1 })), malformed(/^\/size: /));
  assert.throws(() => unpack(Question, pack({ name: 'a' })), malformed(/^\/size: /));
  assert.throws(() => unpack(Question, pack(null)), malformed(/object/));
  assert.throws(() => check(Question, { name: 1, size: 1 }), malformed(/^\/name: /));
});

test('what is not msgpack is malformed', () => {
  const good = pack({ name: 'a', size: 1 });
  const bad = [
    new Uint8Array(),
    good.subarray(0, good.length - 1),
    Uint8Array.from([...good, 0]),
    Uint8Array.of(0xc1),
    Uint8Array.from([0x81, ...encode('__proto__'), 0x80]),
  ];
  for (const bytes of bad) assert.throws(() => unpack(Question, bytes), malformed(/not msgpack/));
});
