import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { type ColourWhen, paintStates, usesColour } from '../../../cli/terminal/colour.ts';
import { Screen } from '../../../cli/terminal/screen.ts';

const rows: [ColourWhen, boolean, NodeJS.ProcessEnv, boolean][] = [
  ['auto', true, {}, true],
  ['auto', false, {}, false],
  ['auto', true, { TERM: 'dumb' }, false],
  ['auto', true, { NO_COLOR: '1' }, false],
  ['auto', true, { NO_COLOR: '' }, true],
  ['auto', false, { FORCE_COLOR: '1' }, true],
  ['auto', true, { FORCE_COLOR: '0' }, false],
  ['auto', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ['never', true, { FORCE_COLOR: '1' }, false],
  ['always', false, { NO_COLOR: '1' }, true],
];
for (const [when, isTerminal, env, expected] of rows) {
  test(`--color ${when}, ${isTerminal ? 'a' : 'no'} terminal, ${JSON.stringify(env)}: ${expected}`, () => {
    assert.equal(usesColour(when, isTerminal, env), expected);
  });
}

test('states, alarms and titles are coloured, parts of names are not, and the text stays the same', () => {
  const text = [
    'Parent https://Offline.example as plant: Offline: no answer',
    'BELOW   LINK',
    'a/Online-1  Online',
    'error    new content is rejected',
    'error: no',
  ].join('\n');
  const painted = paintStates(text);
  assert.equal(stripVTControlCharacters(painted), text);
  const coloured = painted.split('\u001b').filter((part) => /^\[3\d/.test(part));
  assert.deepEqual(coloured, ['[31mOffline', '[32mOnline', '[31merror']);
});

test('a frame is one write without a clear, counts the lines that do not fit, and nothing in it controls the terminal', () => {
  const writes: string[] = [];
  const stream = { rows: 4, write: (text: string) => writes.push(text) > 0 };
  {
    using screen = new Screen(stream as never);
    screen.draw('one\ntwo\u001b[2J');
    screen.draw(Array.from({ length: 9 }, (_, index) => `line ${index}`).join('\n'));
  }
  assert.equal(writes.length, 4);
  assert.equal(writes[1], '\u001b[Hone\u001b[K\ntwo [2J\u001b[K\n\u001b[J');
  assert.match(writes[2] ?? '', /line 1\S*\n… and 7 more lines/);
  assert.equal(writes[3], '\u001b[?25h\u001b[?1049l');
});
