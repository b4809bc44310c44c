import { deepEqual, equal } from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { LayerLog } from '../../../cli/layer/layer-log.ts';

let screen: string[];
const logOf = () => new LayerLog('layer', { line() {}, terminal: (text) => screen.push(text.slice(9)) });
/** Lines that were shown since the last call. */
const shown = () => screen.splice(0);
beforeEach(() => {
  screen = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 });
  mock.method(performance, 'now', () => Date.now());
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

test('a problem is shown with its subject and reason, and its end if that is marked as a notice', () => {
  const log = logOf();
  const failure = { repository: 'app', tag: 'v1', code: 'parent-refused', reason: 'the parent answered 403' };
  log.write('syncer-1', 'warn', 'part of a pass failed', failure);
  log.write('syncer-1', 'warn', 'the link to the parent has a problem', {
    state: 'Offline',
    detail: 'EAI_AGAIN',
  });
  log.write('syncer-1', 'info', 'pass ended', { ok: true });
  log.write('syncer-1', 'info', 'the link to the parent has recovered', { notice: true });
  deepEqual(shown(), [
    'syncer-1: part of a pass failed; app:v1; the parent answered 403',
    'syncer-1: the link to the parent has a problem; Offline; EAI_AGAIN',
    'syncer-1: the link to the parent has recovered',
  ]);
});

test('a repeated line is shown once, then with a count, and finally with its end', () => {
  const log = logOf();
  const fails = (tag: string) =>
    log.write('syncer', 'warn', 'failed', { tag, code: 'no-space', reason: 'full' });
  for (let n = 0; n < 100; n += 1) fails(`v${n}`);
  log.write('syncer', 'warn', 'failed', { tag: 'other', code: 'parent-refused', reason: '403' });
  deepEqual(shown(), ['syncer: failed; v0; full', 'syncer: failed; other; 403']);
  mock.timers.tick(10_000);
  deepEqual(shown(), ['syncer: failed; v99; full (99 more times)']);
  for (let n = 0; n < 3; n += 1) fails('again');
  mock.timers.tick(20_000);
  deepEqual(shown(), ['syncer: failed; again; full (3 more times)']);
  mock.timers.tick(620_000);
  deepEqual(shown(), ['syncer: failed; again; full (not repeated for 11 min)']);
  fails('later');
  deepEqual(shown(), ['syncer: failed; later; full']);
});

test('a line that is repeated each minute is shown at growing intervals, for the last time at the end of the log', () => {
  const log = logOf();
  for (let minute = 0; minute < 20; minute += 1) {
    log.write('syncer', 'warn', 'away', { code: 'parent-unreachable' });
    mock.timers.tick(60_000);
  }
  log.end();
  const lines = shown();
  equal(lines[0], 'syncer: away');
  equal(lines.length <= 7, true, lines.join('\n'));
  mock.timers.tick(3_600_000);
  deepEqual(shown(), []);
});

test('text of others is shown without control characters, and stored in the file unchanged', () => {
  const lines: string[] = [];
  const log = new LayerLog('layer', {
    line: (json) => lines.push(json),
    terminal: (text) => screen.push(text),
  });
  const message = 'no\n12:00:00 gateway: all is well\u001b[2J\u009b2J';
  log.write('syncer', 'warn', 'the parent refused', { err: { message } });
  equal(screen.length, 1);
  equal(screen[0]?.slice(9), 'syncer: the parent refused; no 12:00:00 gateway: all is well [2J 2J');
  deepEqual(JSON.parse(lines[0] ?? '').err, { message });
});
