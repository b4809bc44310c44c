import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, product, textOf } from './support/imports.ts';

/** One system of units: docs/design/decisions.md, "The terminal". */

/** What words quantities for people. All others use their functions. */
const FORMATTERS = [
  'proto/contract/quantity-text.ts',
  'cli/terminal/figures.ts',
  'page/format/quantities.ts',
];

const linesWith = (names: readonly string[], pattern: RegExp): string[] =>
  names.flatMap((file) =>
    textOf(file)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  );

test('no source but the formatting functions prints a value with a unit of sizes or rates, or milliseconds', () => {
  const others = product.filter((file) => !FORMATTERS.includes(file));
  assert.deepEqual(linesWith(others, /\$\{[^}]*\}\)? ?(?:[kKMGT]i?B|[kKMGT]?bit|ms|bytes\/s)\b/), []);
});

test('nothing is printed in binary units', () => {
  assert.deepEqual(linesWith(FORMATTERS, /[KMGT]iB|1[_]?024|2 \*\* [1234]0/), []);
});

test('the documents have rates in decimal units', () => {
  const documents = files.filter((file) => /\.md$/.test(file));
  assert.ok(documents.length > 10);
  assert.deepEqual(linesWith(documents, /\d ?(?:[KMGT]iB|KB)(?:\/s| (?:a|per) second)/), []);
});

test('the dashboard shows bytes in decimal units', () => {
  // Units of Grafana: "bytes" and "binBps" are powers of 1024, "decbytes" and "Bps" powers of 1000.
  assert.deepEqual(
    linesWith(['deploy/monitoring/dashboard.json'], /"unit": "(?:k?bytes|mbytes|gbytes|binBps)"/),
    [],
  );
});
