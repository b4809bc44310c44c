import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { product, textOf } from './support/imports.ts';

/**
 * Regular expressions that take quadratic time: a header of 128 KiB may be one run of white space. A run at the
 * beginning of a pattern is tried from each of its characters, and the end of a text is looked for from each of them.
 */

/** A run at the beginning, which something has to follow, as in `split` by a comma with white space around it. */
const RUN_FIRST =
  /(?<=[(=:,!&|?[]\s*)\/(?:\\s|\\t| |\\\/|\[[^\]\n]+\]|\.)[*+](?!\?)(?!\/[a-z]*\W)[^\n]*?\/(?![a-z]*y)[a-z]*(?=[\s.,;)])/g;
/** Any text, looked for up to the end of a line from each place where the part before it fits. */
const TO_THE_END = /(?<=[(=:,!&|?[]\s*)\/(?:\\.|\[[^\]\n]+\]|[^\\^/[\n])\.\*\$\/[a-z]*(?=[\s.,;)])/g;

test('no pattern tries a run of characters from each of them', () => {
  const files = product.filter((file) => /^(services|proto|cli)\//.test(file));
  const found = files.flatMap((file) => {
    const text = textOf(file);
    return [...text.matchAll(RUN_FIRST), ...text.matchAll(TO_THE_END)].map(([one]) => `${file}: ${one}`);
  });
  deepEqual(found, []);
});

test('the patterns find what is quadratic, and nothing else', () => {
  const quadratic = [
    'split(/\\s*,\\s*/)',
    'replace(/\\s+$/, "")',
    'replace(/\\/+$/, "")',
    'replace(/%.*$/, "")',
  ];
  const linear = [
    'split(/\\s+/)',
    'replace(/ +/g, " ")',
    'exec(/^\\s*,\\s*/)',
    'exec(/^%.*$/)',
    'split(/,\\s*/)',
    'exec(/\\s*=\\s*/y)',
  ];
  const isFound = (text: string) => text.search(RUN_FIRST) >= 0 || text.search(TO_THE_END) >= 0;
  deepEqual(
    quadratic.filter((text) => !isFound(text)),
    [],
  );
  deepEqual(linear.filter(isFound), []);
});
