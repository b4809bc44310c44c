import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { Type } from '@sinclair/typebox';
import { check, MAX_MESSAGE_BYTES, pack, parse, unpack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';

const Query = Type.Object({
  name: Type.String(),
  size: Type.Integer({ minimum: 0 }),
  note: Type.Optional(Type.String()),
});

const malformed = (pattern: RegExp) => (error: unknown) =>
  Fault.is(error, 'malformed') && pattern.test(error.message);

test('a packed value unpacks to the same value', () => {
  const value = { name: 'a', size: 2 ** 40, note: 'ü' };
  assert.deepEqual(unpack(Query, pack(Query, value)), value);
});

test('an undefined field is omitted and does not arrive as null', () => {
  assert.deepEqual(unpack(Query, pack(Query, { name: 'a', size: 1, note: undefined } as never)), {
    name: 'a',
    size: 1,
  });
});

test('a value that violates its schema is malformed, and the fault names the field', () => {
  assert.throws(() => unpack(Query, encode({ name: 'a', size: -1 })), malformed(/^\/size: /));
  assert.throws(() => unpack(Query, encode({ name: 'a' })), malformed(/^\/size: /));
  assert.throws(() => unpack(Query, encode(null)), malformed(/object/));
  assert.throws(() => check(Query, { name: 1, size: 1 }), malformed(/^\/name: /));
});

test('bytes that are not msgpack are malformed', () => {
  const good = pack(Query, { name: 'a', size: 1 });
  const bad = [
    new Uint8Array(),
    good.subarray(0, good.length - 1),
    Uint8Array.from([...good, 0]),
    Uint8Array.of(0xc1),
    Uint8Array.from([0x81, ...encode('__proto__'), 0x80]),
  ];
  for (const bytes of bad) assert.throws(() => unpack(Query, bytes), malformed(/not msgpack/));
});

const AnyData = Type.Object({ data: Type.Unknown() });
const nested = (levels: number): unknown => (levels === 0 ? 0 : [nested(levels - 1)]);

for (const [name, json, location] of [
  ['a field __proto__', '{"data":{"a":{"__proto__":1}}}', /^\/data\/a\/__proto__: /],
  ['a field constructor', '{"data":[{"constructor":{}}]}', /^\/data\/0\/constructor: /],
  ['a field prototype', '{"data":{"prototype":1}}', /^\/data\/prototype: /],
  ['a number that JSON makes infinite', '{"data":1e999}', /^\/data: Infinity/],
  ['a number too large for exact sums', '{"data":{"n":1e308}}', /^\/data\/n: 1e\+308/],
  ['half of a surrogate pair', '{"data":"\\ud800"}', /^\/data: .*surrogate/],
  ['data nested too deep', JSON.stringify({ data: nested(100) }), /^(\/data|\/0)+.*nested/],
  [
    'a forbidden field below one that the schema lacks',
    '{"data":1,"more":{"__proto__":1}}',
    /^\/more\/__proto__: /,
  ],
] as const) {
  test(`${name} is refused both by parse and by pack`, () => {
    assert.throws(() => parse(AnyData, json), malformed(location));
    assert.throws(() => pack(AnyData, JSON.parse(json)), malformed(location));
  });
}

test("pack refuses values that msgpack or the schema can't carry, and names the field", () => {
  assert.throws(() => pack(Query, { name: 'a', size: 0.5 }), malformed(/^\/size: /));
  assert.throws(() => pack(AnyData, { data: Number.NaN }), malformed(/^\/data: NaN/));
  assert.throws(() => pack(AnyData, { data: new Date() }), malformed(/^\/data: is not a plain object/));
  assert.throws(() => pack(AnyData, { data: 1n }), malformed(/^\/data: a bigint/));
  const large = { data: 'x'.repeat(MAX_MESSAGE_BYTES) };
  assert.throws(
    () => pack(AnyData, large),
    (error) => Fault.is(error, 'too-large'),
  );
});

test('unpack refuses a field constructor', () => {
  assert.throws(() => unpack(AnyData, encode({ data: { constructor: 1 } })), malformed(/constructor/));
});
