import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { desiredOf, type Properties, twinReported } from '../../../services/twin-bridge/iot-edge/desired.ts';
import {
  lastGoodFile,
  readLastGood,
  storeLastGood,
} from '../../../services/twin-bridge/iot-edge/last-good.ts';
import { admissible, difference } from '../../../services/twin-bridge/iot-edge/reported-rules.ts';
import { topicOf } from '../../../services/twin-bridge/iot-edge/topics.ts';

test('desired properties without a version are unknown', () => {
  for (const unknown of [undefined, null, {}, [], 'x', { mode: 'ReadOnly' }, { $version: '3' }]) {
    assert.equal(desiredOf(unknown), undefined, JSON.stringify(unknown));
  }
  const twin = { $version: 3, $metadata: { $lastUpdated: 'x' }, a: { b: null, c: 1 }, d: null, e: [1] };
  assert.deepEqual(desiredOf(twin), { version: 3, text: '{"a":{"c":1},"e":[1]}' });
  assert.deepEqual(desiredOf({ $version: 1 }), { version: 1, text: '{}' });
  assert.deepEqual(twinReported({ $version: 9, a: 1, b: null }), { a: 1 });
});

test('only fields that are valid in a twin are admissible', () => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 9; depth += 1) deep = { d: deep };
  const good = {
    a: 'x'.repeat(4096),
    b: -(2 ** 52),
    c: 2 ** 52 - 1,
    d: [1, { a: [] }],
    e: null,
    f: 1.5,
    deep,
    'events/tag': true,
  };
  assert.deepEqual(admissible(good).complaints, []);
  const bad: [string, unknown][] = [
    ['a.b', 1],
    ['$a', 1],
    ['a#', 1],
    ['a b', 1],
    ['a\u0085', 1],
    ['', 1],
    ['k'.repeat(1025), 1],
    ['long', 'é'.repeat(2049)],
    ['large', 2 ** 52],
    ['small', -(2 ** 52) - 1],
    ['number', Number.NaN],
    ['list', [1, null]],
    ['inside', [{ a: null }]],
    ['function', () => 1],
    ['deep', { deep }],
    ['inner', { 'a.b': 1 }],
  ];
  for (const [key, value] of bad) {
    const { fields, complaints } = admissible({ [key]: value, fine: 1 });
    assert.deepEqual(fields, { fine: 1 }, key);
    assert.equal(complaints.length > 0, true, key);
  }
  assert.deepEqual(admissible({ fine: 1, 'a.b': 2 }).fields, { fine: 1 });
  const much = Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`k${at}`, 'x'.repeat(4_000)]));
  assert.deepEqual(admissible(much).fields, {});
  assert.match(admissible(much).complaints.join(), /limit of 16384 bytes/);
});

test('the difference, merged into the known properties, gives the wanted ones', () => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }));
  const { tree } = fc.letrec<{ tree: Properties }>((tie) => ({
    tree: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof({ depthSize: 'small' }, leaf, tie('tree')), {
      noNullPrototype: true,
    }) as fc.Arbitrary<Properties>,
  }));
  const merge = (known: Properties, patch: Properties): Properties => {
    const merged = { ...known };
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) delete merged[key];
      else if (isMap(value)) merged[key] = merge(isMap(merged[key]) ? merged[key] : {}, value);
      else merged[key] = value;
    }
    return merged;
  };
  const isMap = (value: unknown): value is Properties =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  fc.assert(
    fc.property(tree, tree, (known, wanted) => {
      const patch = difference(known, wanted);
      assert.deepEqual(patch ? merge(known, patch) : known, wanted);
    }),
    { numRuns: 100 },
  );
  assert.equal(difference({ a: { b: [1] } }, { a: { b: [1] } }), undefined);
  assert.deepEqual(difference({ a: [1, 2, 3] }, { a: [9] }), { a: [9] });
});

test('topics of the twin are distinguished, and other topics are ignored', () => {
  assert.deepEqual(topicOf('$iothub/twin/res/204/?$rid=7&$version=5'), {
    kind: 'reply',
    status: 204,
    id: '7',
  });
  assert.deepEqual(topicOf('$iothub/twin/PATCH/properties/desired/?$version=5'), { kind: 'desired' });
  assert.deepEqual(topicOf('$iothub/methods/POST/sync/?$rid=a1'), { kind: 'method', name: 'sync', id: 'a1' });
  for (const none of ['$iothub/twin/res/204/', 'devices/x', '$iothub/methods/POST/a/b/?$rid=1', '']) {
    assert.equal(topicOf(none), undefined, none);
  }
});

test('the last good document is stored completely, and only its owner may read it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-last-'));
  try {
    assert.equal(await readLastGood(folder), undefined);
    await storeLastGood(folder, { version: 4, text: '{"a":1}' });
    assert.deepEqual(await readLastGood(folder), { version: 4, text: '{"a":1}' });
    assert.equal((await stat(lastGoodFile(folder))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(folder), ['twin.json']);
    await writeFile(lastGoodFile(folder), '{"version":4,');
    assert.equal(await readLastGood(folder), undefined);
  } finally {
    await rm(folder, { recursive: true });
  }
});
