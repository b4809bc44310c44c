import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  entryOf,
  entryText,
  isWanted,
  type LogEntry,
  type LogFilter,
  toneOfEntry,
} from '../../../cli/logs/log-entry.ts';

const TIME = Date.parse('2030-01-01T12:00:00Z');
const line = (fields: object) =>
  JSON.stringify({ level: 30, time: TIME, layer: 'a', pid: 1, service: 'syncer-2', msg: 'done', ...fields });

const rows: [filter: LogFilter, fields: object, wanted: boolean][] = [
  [{}, {}, true],
  [{ services: ['syncer'] }, {}, true],
  [{ services: ['syncer-2'] }, {}, true],
  [{ services: ['syncer-1'] }, {}, false],
  [{ services: ['gateway', 'syncer'] }, {}, true],
  [{ services: ['sync'] }, {}, false],
  [{ since: TIME }, {}, true],
  [{ since: TIME + 1 }, {}, false],
  [{ minLevel: 'warn' }, {}, false],
  [{ minLevel: 'warn' }, { level: 40 }, true],
  [{ minLevel: 'warn' }, { level: 60 }, true],
  [{ minLevel: 'info', services: ['gateway'] }, { level: 60 }, false],
];
for (const [filter, fields, wanted] of rows) {
  test(`${JSON.stringify(filter)} ${wanted ? 'takes' : 'leaves out'} ${JSON.stringify(fields)}`, () => {
    assert.equal(isWanted(entryOf(line(fields)), filter), wanted);
  });
}

test('a line of another form is wanted if all are', () => {
  for (const text of ['', 'text', '[]', '{"level":30}', 'null']) {
    assert.equal(entryOf(text), undefined);
    assert.equal(isWanted(undefined, {}), true);
    assert.equal(isWanted(undefined, { minLevel: 'debug' }), false);
  }
});

test('an entry is one line with its fields, without what controls a terminal, and fits a width', () => {
  const entry = entryOf(
    line({
      level: 50,
      url: 'http://above',
      detail: 'two words',
      err: { message: 'no\u001b[2Jway', stack: 's' },
    }),
  );
  assert.ok(entry);
  const text = entryText(entry, undefined);
  assert.equal(
    text,
    '2030-01-01 12:00:00 syncer-2    error done url=http://above detail="two words" err="no\\u001b[2Jway"',
  );
  for (const one of entryText(entry, 60).split('\n')) assert.ok(one.length <= 60, one);
});

test('colours show what needs a person', () => {
  const tones = [20, 30, 40, 50, 60].map((level) => toneOfEntry(entryOf(line({ level })) as LogEntry));
  assert.deepEqual(tones, ['faint', undefined, 'warning', 'bad', 'bad']);
});
