import { deepEqual, doesNotMatch, equal, match } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeReplay } from '../../../cli/commands/observe/replay.ts';
import { describeStatus } from '../../../cli/commands/observe/status.ts';
import { summary } from '../../../cli/commands/sync/sync.ts';
import { table } from '../../../cli/terminal/table.ts';
import { safeJson, singleLine, singleLines } from '../../../cli/terminal/terminal.ts';
import { eventText, jsonOf } from '../../../cli/text/event-text.ts';
import { lineView } from '../../../cli/text/progress.ts';
import { apply, emptyReplay } from '../../../cli/text/replay-state.ts';
import { configurationWith } from '../../support/configuration.ts';

/** Text of clients, of the parent and of layers below can neither control a terminal nor forge a line of output. */

const CLI = join(import.meta.dirname, '../../../cli');
/** Sets the clipboard (OSC 52), erases the line, begins another one, and reverses what follows. */
const HOSTILE =
  'ok\u001b]52;c;cm0gLXJm\u0007\u001b[2K\rall well\nLayer "top" is well\u009b2J\u202egnp.\u2028x';
const CONTROL = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const FORGED = /^Layer "top" is well/m;

function assertSafe(text: string): void {
  doesNotMatch(text, CONTROL);
  doesNotMatch(text, FORGED);
  match(text, /Layer "top" is well/, 'the text itself is shown');
}

test('a single line has no control or format characters, and text of any script stays', () => {
  equal(singleLine('plant 7: Wärme, 温度, الحرارة, 🌡 €'), 'plant 7: Wärme, 温度, الحرارة, 🌡 €');
  assertSafe(singleLine(HOSTILE));
  assertSafe(table([['NAME'], [HOSTILE]]));
  deepEqual(singleLines({ 'a\nb': [{ c: 'd\u001b[2K' }, 1, null] }), { 'a b': [{ c: 'd [2K' }, 1, null] });
});

test('safe JSON has the same value, and no control or format characters', () => {
  const value = { text: HOSTILE, tag: '\u{e0041}', nested: [HOSTILE] };
  for (const indent of [undefined, 2]) {
    const shown = safeJson(JSON.stringify(value, null, indent));
    doesNotMatch(shown, CONTROL);
    deepEqual(JSON.parse(shown), value);
  }
});

test('the status is safe with a hostile detail of the link, complaint and layer below', () => {
  const now = Date.UTC(2030, 0, 1);
  const link = { state: 'Offline', since: now, detail: HOSTILE } as never;
  const below = [{ child: 'line-7', seen: now, path: [], name: HOSTILE, mode: 'ReadOnly', at: now, link }];
  const text = describeStatus(
    {
      services: [],
      syncers: [],
      silent: [],
      configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
      link,
      bridge: { source: 'file', complaints: [HOSTILE] } as never,
      below: below as never,
    },
    now,
  );
  assertSafe(text);
});

test('events, a replay and a followed pass are safe with hostile text', () => {
  const event = {
    specversion: '1.0' as const,
    id: '1',
    source: `/layers/${HOSTILE}/x`,
    type: `terrace.${HOSTILE}`,
    time: '2030-01-01T00:00:00.000Z',
    data: { repository: 'app', reason: HOSTILE, [HOSTILE]: 'a' },
  };
  assertSafe(eventText(1, event));
  equal(JSON.parse(safeJson(jsonOf(1, event))).data.reason, HOSTILE);

  const replay = emptyReplay();
  const transfer = { direction: 'down', repository: 'app', digest: 'sha256:0', size: 9, syncer: 'a' };
  for (const [type, data] of [
    ['started', { ...transfer, present: 0 }],
    ['failed', { ...transfer, code: 'internal', reason: HOSTILE }],
  ] as const) {
    apply(replay, { sequence: 1, event: { ...event, type: `terrace.transfer.${type}`, data } });
  }
  assertSafe(describeReplay(replay, 0));

  const lines: string[] = [];
  const view = lineView((line) => lines.push(line));
  view.onEvent({ ...event, type: 'terrace.image.failed' });
  assertSafe(lines.join('\n'));
  const failures = [{ repository: 'app', tag: 'v1', code: 'parent-refused', reason: HOSTILE }];
  assertSafe(summary({ failures, failed: 1, ok: false, taken: 0, ms: 1 } as never));
});

test('errors of the command line are printed without control characters', () => {
  const program = join(CLI, 'terrace.ts');
  const parameters = [program, 'status\u001b[2K\u009b2J'];
  const { stderr } = spawnSync(process.execPath, parameters, { encoding: 'utf8' });
  match(stderr, /is not a command/);
  doesNotMatch(stderr, CONTROL);
});

test('log lines of a service are JSON without control characters', () => {
  const { TERRACE_DATA: _data, ...env } = process.env;
  const program = join(CLI, '../services/gateway/main.ts');
  // Without its settings a service ends at once, with a log line that names its layer.
  const options = { encoding: 'utf8', env: { ...env, TERRACE_NAME: HOSTILE } } as const;
  const { stdout } = spawnSync(process.execPath, [program], options);
  match(stdout, /service failed/);
  doesNotMatch(stdout, CONTROL);
  for (const line of stdout.trimEnd().split('\n')) equal(JSON.parse(line).layer, HOSTILE);
});

test('only terminal.ts writes to stdout and stderr', () => {
  const writers = readdirSync(CLI, { encoding: 'utf8', recursive: true })
    .filter((file) => file.endsWith('.ts') && file !== join('terminal', 'terminal.ts'))
    .filter((file) => /console\.|std(out|err)\.write/.test(readFileSync(join(CLI, file), 'utf8')));
  // A program of its own, whose output the command reads.
  deepEqual(writers, [join('doctor', 'data', 'probe-process.ts')]);
});
