import assert from 'node:assert/strict';
import { test } from 'node:test';
import { terminalWidth, wrapLines, wrapWords } from '../../../cli/terminal/layout.ts';
import { table } from '../../../cli/terminal/table.ts';

test('output has the width of its terminal; without one, that of COLUMNS, or 80 columns', () => {
  const width = (isTTY: boolean, columns: number, env = {}) => terminalWidth({ isTTY, columns }, env);
  assert.equal(width(true, 132), 132);
  assert.equal(width(true, 132, { COLUMNS: '200' }), 132);
  assert.equal(width(true, 0), 80);
  assert.equal(width(true, 10), 40);
  assert.equal(width(false, 132), 80);
  assert.equal(width(false, 132, { COLUMNS: '200' }), 200);
  assert.equal(width(false, 132, { COLUMNS: 'wide' }), 80);
});

test('long lines are wrapped by words, and their rest is indented', () => {
  assert.equal(wrapLines('a b\n  c', 10), 'a b\n  c');
  assert.equal(wrapLines('  one two three four five six', 16), '  one two three\n      four five\n      six');
  const long = `x ${'word '.repeat(60)}${'https://registry.example/'.repeat(9)}`;
  for (const line of wrapLines(long, 40).split('\n')) assert.ok(line.length <= 40, line);
});

test('a word that is wider than its line is broken, after a sign if there is one', () => {
  assert.deepEqual(wrapWords('plant/line-7/cell-12', 10), ['plant/', 'line-7/', 'cell-12']);
  assert.deepEqual(wrapWords('abcdefghij', 4), ['abcd', 'efgh', 'ij']);
  assert.deepEqual(wrapWords('', 4), ['']);
});

const rows = [
  ['BELOW', 'LINK', 'HOLDS', ''],
  ['line-7/cell-1', 'Unhealthy', '40 tags, 210 blobs', 'app:v1 is refused by the parent'],
  ['line-8', 'Online', '1 tag, 2 blobs', ''],
];

test('a table that fits keeps its rows; else its remarks become lines, and its widest columns are narrowed', () => {
  assert.match(
    table(rows),
    /^line-7\/cell-1 {2}Unhealthy {2}40 tags, 210 blobs {2}app:v1 is refused by the parent$/m,
  );
  assert.equal(
    table(rows, 46),
    [
      'BELOW          LINK       HOLDS',
      'line-7/cell-1  Unhealthy  40 tags, 210 blobs',
      '    app:v1 is refused by the parent',
      'line-8         Online     1 tag, 2 blobs',
    ].join('\n'),
  );
  assert.equal(
    table(rows, 40),
    [
      'BELOW          LINK       HOLDS',
      'line-7/cell-1  Unhealthy  40 tags, 210',
      '                          blobs',
      '    app:v1 is refused by the parent',
      'line-8         Online     1 tag, 2 blobs',
    ].join('\n'),
  );
});
