import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { LayerLog } from '../../cli/layer-log.ts';

test('words of others say nothing to the terminal, and stand in the file as they came', () => {
  const screen: string[] = [];
  const lines: string[] = [];
  const log = new LayerLog('layer', {
    line: (json) => lines.push(json),
    screen: (text) => screen.push(text),
  });
  const said = 'no\n12:00:00 gateway: all is well\u001b[2J\u009b2J';
  log.say('syncer', 'warn', 'the parent refused', { err: { message: said } });
  equal(screen.length, 1);
  equal(screen[0]?.slice(9), 'syncer: the parent refused; no 12:00:00 gateway: all is well [2J 2J');
  deepEqual(JSON.parse(lines[0] ?? '').err, { message: said });
});
