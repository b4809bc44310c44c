import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type as TypeBox } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import { OptionalKind, type TSchema, Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { errorsOf } from '#proto/contract/schema-errors.ts';

/** Schemas are those of TypeBox, and match the same values: TypeBox names the errors of what does not match. */

type Builder = typeof Type;
/** Builds the same schema with either builder. */
type Recipe = (build: Builder) => TSchema;

const small = fc.nat({ max: 3 });
const maybe = <T>(name: string, value: fc.Arbitrary<T>) =>
  fc.oneof(
    fc.constant({}),
    value.map((one) => ({ [name]: one })),
  );
const optionsOf = (...parts: fc.Arbitrary<object>[]) =>
  fc.tuple(...parts).map((all) => Object.assign({ description: 'd' }, ...all) as object);

const keys = ['a', 'b', '__proto__', 'toString'];
/** Not `toString`: TypeBox takes what a value inherits for one of its own fields when it counts them. */
const key = fc.constantFrom(...keys.slice(0, 2));

const leaf: fc.Arbitrary<Recipe> = fc.oneof(
  fc.constantFrom<Recipe>(
    (build) => build.Boolean(),
    (build) => build.Null(),
    (build) => build.String({ pattern: '^a?b*$' }),
  ),
  fc.constantFrom('a', '', 1, true).map(
    (value): Recipe =>
      (build) =>
        build.Literal(value),
  ),
  optionsOf(maybe('minLength', small), maybe('maxLength', small)).map(
    (options): Recipe =>
      (build) =>
        build.String(options),
  ),
  optionsOf(maybe('minimum', small), maybe('maximum', small)).chain((options) =>
    fc.constantFrom<Recipe>(
      (build) => build.Integer(options),
      (build) => build.Number(options),
    ),
  ),
  optionsOf(maybe('maxByteLength', small)).map(
    (options): Recipe =>
      (build) =>
        build.Uint8Array(options),
  ),
);

/** Not in unions: TypeBox takes a missing field for present if its schema is a union with `Unknown` in it. */
const unknown = fc.constant<Recipe>((build) => build.Unknown({ description: 'any' }));

const recipe: fc.Arbitrary<Recipe> = fc.letrec<{ any: Recipe; part: Recipe }>((tie) => ({
  part: fc.oneof(tie('any') as fc.Arbitrary<Recipe>, unknown),
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.tuple(tie('part'), optionsOf(maybe('minItems', small), maybe('maxItems', small))).map(
      ([item, options]): Recipe =>
        (build) =>
          build.Array(item(build), options),
    ),
    fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map(
      (variants): Recipe =>
        (build) =>
          build.Union(variants.map((one) => one(build))),
    ),
    fc
      .tuple(
        fc.dictionary(key, fc.tuple(tie('part'), fc.boolean()), { maxKeys: 3 }),
        optionsOf(
          maybe('additionalProperties', fc.boolean()),
          maybe('minProperties', small),
          maybe('maxProperties', small),
        ),
      )
      .map(
        ([fields, options]): Recipe =>
          (build) =>
            build.Object(
              Object.fromEntries(
                Object.entries(fields).map(([name, [one, optional]]) => [
                  name,
                  optional ? build.Optional(one(build)) : one(build),
                ]),
              ),
              options,
            ),
      ),
    fc.tuple(tie('part'), fc.boolean(), optionsOf(maybe('additionalProperties', fc.constant(false)))).map(
      ([value, limited, options]): Recipe =>
        (build) =>
          build.Record(build.String(limited ? { pattern: '^a' } : {}), value(build), options),
    ),
  ),
})).part;

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(undefined, null, true, 'a', 'abb', '', 0, 1, 2.5, -1, Number.NaN, new Date(0)),
    fc.uint8Array({ maxLength: 4 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...keys, 'c'), tie('any'), { maxKeys: 4 }),
  ),
})).any;

const typeBox = TypeBox as unknown as Builder;

test('a schema is the one that TypeBox builds', () => {
  fc.assert(
    fc.property(recipe, (make) => {
      assert.deepStrictEqual(make(Type), make(typeBox));
      assert.equal(JSON.stringify(make(Type)), JSON.stringify(make(typeBox)));
    }),
  );
});

test('a value matches a schema exactly if TypeBox says so, and has errors if not', () => {
  let matching = 0;
  fc.assert(
    fc.property(recipe, value, (make, one) => {
      const expected = Value.Check(make(typeBox), one);
      if (expected) matching += 1;
      const schema = make(Type);
      assert.equal(matches(schema, one), expected);
      if (!expected) assert.ok([...errorsOf(schema, one)].length > 0);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(matching > 100, `${matching} values match`);
});

test('an optional field is marked as TypeBox marks it', () => {
  assert.equal(Type.Optional(Type.Null())[OptionalKind], 'Optional');
});

test('a schema that would be checked in part only is refused', () => {
  assert.throws(() => matches(Type.String({ format: 'uri' }), ''), /keyword format/);
  assert.throws(() => matches(TypeBox.Date(), new Date()), /kind Date/);
});
