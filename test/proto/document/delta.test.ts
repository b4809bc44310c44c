import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

/** Field `delta`: whether updates cross the link as deltas, and what they may cost. */

const resolve = (text: string) => resolveDocument({ text, folder: '/etc/terrace', readable: () => true });

test('without the field, deltas are used where they save time, within budgets', () => {
  const GIB = 2 ** 30;
  const byDefault = { mode: 'auto', cache: 2 * GIB, scratch: 16 * GIB, timeMs: 900_000 };
  const rows: [text: string, differing: object][] = [
    ['', {}],
    ['delta:', {}],
    ['delta: {}', {}],
    ['delta: { mode: always }', { mode: 'always' }],
    ['delta: { mode: "off" }', { mode: 'off' }],
    ['delta: { mode: off }', { mode: 'off' }],
    ['delta: { cache: 0 }', { cache: 0 }],
    ['delta: { cache: 1048576, scratch: 500 MB }', { cache: 2 ** 20, scratch: 500e6 }],
    ['delta: { time: P1D }', { timeMs: 86_400_000 }],
  ];
  for (const [text, differing] of rows) {
    const resolved = resolve(text);
    assert.ok('configuration' in resolved, `${text}: ${JSON.stringify(resolved)}`);
    assert.deepEqual(resolved.configuration.delta, { ...byDefault, ...differing }, text);
  }
});

test('each complaint names its field and the remedy', () => {
  const rows: [fields: string, complaint: string][] = [
    ['mode: never', 'delta.mode "never" is not valid: write auto, always or off'],
    ['cache: 5furlongs', 'delta.cache "5furlongs" is not valid: write bytes, such as 2GiB'],
    ['cache: -1', 'delta.cache -1 is not valid: write bytes, such as 2GiB'],
    ['scratch: 1 parsec', 'delta.scratch "1 parsec" is not valid: write bytes, such as 16GiB'],
    ...['PT0S', 'P2D', 'P1M', '900'].map((time): [string, string] => [
      `time: "${time}"`,
      `delta.time "${time}" is not valid: write an ISO 8601 duration from PT1S to P1D, such as PT15M`,
    ]),
    ['caches: 1GiB', 'delta.caches is not a field: did you mean delta.cache?'],
  ];
  for (const [fields, complaint] of rows) {
    const resolved = resolve(`delta: { ${fields} }`);
    assert.deepEqual('complaints' in resolved ? resolved.complaints : [], [complaint], fields);
  }
  const all = resolve('delta: { cache: 1 x, scratch: 1 y, time: PT }');
  assert.equal('complaints' in all && all.complaints.length, 3);
});
