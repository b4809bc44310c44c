import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { Type } from '@sinclair/typebox';
import { check, MAX_MESSAGE_BYTES, pack, parse, unpack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';

const Question = Type.Object({
  name: Type.String(),
  size: Type.Integer({ minimum: 0 }),
  note: Type.Optional(Type.String()),
});

const malformed = (pattern: RegExp) => (error: unknown) =>
  Fault.is(error, 'malformed') && pattern.test(error.message);

test('a value goes over the wire and back', () => {
  const value = { name: 'a', size: 2 ** 40, note: 'ü' };
  assert.deepEqual(unpack(Question, pack(Question, value)), value);
});

test('a field without a value is left out, and does not arrive as null', () => {
  assert.deepEqual(unpack(Question, pack(Question, { name: 'a', size: 1, note: undefined } as never)), {
    name: 'a',
    size: 1,
  });
});

test('what is not as declared is malformed, and the fault names the field', () => {
  assert.throws(() => unpack(Question, encode({ name: 'a', size: -1 })), malformed(/^\/size: /));
  assert.throws(() => unpack(Question, encode({ name: 'a' })), malformed(/^\/size: /));
  assert.throws(() => unpack(Question, encode(null)), malformed(/object/));
  assert.throws(() => check(Question, { name: 1, size: 1 }), malformed(/^\/name: /));
});

test('what is not msgpack is malformed', () => {
  const good = pack(Question, { name: 'a', size: 1 });
  const bad = [
    new Uint8Array(),
    good.subarray(0, good.length - 1),
    Uint8Array.from([...good, 0]),
    Uint8Array.of(0xc1),
    Uint8Array.from([0x81, ...encode('__proto__'), 0x80]),
  ];
  for (const bytes of bad) assert.throws(() => unpack(Question, bytes), malformed(/not msgpack/));
});

const Anything = Type.Object({ data: Type.Unknown() });
const nested = (levels: number): unknown => (levels === 0 ? 0 : [nested(levels - 1)]);

for (const [what, json, where] of [
  ['a field __proto__', '{"data":{"a":{"__proto__":1}}}', /^\/data\/a\/__proto__: /],
  ['a field constructor', '{"data":[{"constructor":{}}]}', /^\/data\/0\/constructor: /],
  ['a field prototype', '{"data":{"prototype":1}}', /^\/data\/prototype: /],
  ['a number that JSON makes infinite', '{"data":1e999}', /^\/data: Infinity/],
  ['a number that no sum of is right', '{"data":{"n":1e308}}', /^\/data\/n: 1e\+308/],
  ['half of a surrogate pair', '{"data":"\\ud800"}', /^\/data: .*surrogate/],
  ['data without an end to its depth', JSON.stringify({ data: nested(100) }), /^(\/data|\/0)+.*nested/],
  ['a field that the schema does not know', '{"data":1,"more":{"__proto__":1}}', /^\/more\/__proto__: /],
] as const) {
  test(`${what} is taken neither from outside nor by whoever sends it`, () => {
    assert.throws(() => parse(Anything, json), malformed(where));
    assert.throws(() => pack(Anything, JSON.parse(json)), malformed(where));
  });
}

test('what can not be packed is refused at its maker, which names the field', () => {
  assert.throws(() => pack(Question, { name: 'a', size: 0.5 }), malformed(/^\/size: /));
  assert.throws(() => pack(Anything, { data: Number.NaN }), malformed(/^\/data: NaN/));
  assert.throws(() => pack(Anything, { data: new Date() }), malformed(/^\/data: is not a plain object/));
  assert.throws(() => pack(Anything, { data: 1n }), malformed(/^\/data: a bigint/));
  const large = { data: 'x'.repeat(MAX_MESSAGE_BYTES) };
  assert.throws(
    () => pack(Anything, large),
    (error) => Fault.is(error, 'too-large'),
  );
});

test('a field constructor from the wire is refused, as every decoder has to', () => {
  assert.throws(() => unpack(Anything, encode({ data: { constructor: 1 } })), malformed(/constructor/));
});
