import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson } from '#proto/contract/bounded-json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('JSON within the limits is parsed, for any content of its strings', () => {
  const value = { a: [1, 'x,[{"', { b: null }], c: '\\",\\\\', d: 'ü' };
  assert.deepEqual(parseJson(bytes(JSON.stringify(value)), { values: 10, depth: 3 }), value);
});

test('values are counted before any of them is created', () => {
  const many = bytes(`[${'0,'.repeat(10_000)}0]`);
  assert.throws(() => parseJson(many, { values: 10_000 }), { code: 'too-large', message: /10000 values/ });
  assert.equal((parseJson(many, { values: 10_002 }) as unknown[]).length, 10_001);
  assert.throws(() => parseJson(bytes('['.repeat(16 * 1024 * 1024))), {
    code: 'too-large',
    message: /64 deep/,
  });
  assert.throws(() => parseJson(bytes(`[${'{},'.repeat(1_000_000)}{}]`)), { code: 'too-large' });
});

test('invalid JSON and invalid UTF-8 are syntax errors', () => {
  for (const text of [bytes('<html>'), bytes('"'), bytes(']'), new Uint8Array([0x22, 0xff, 0x22])]) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
});
