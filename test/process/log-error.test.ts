import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Fault } from '#proto/contract/fault.ts';
import { describeError } from '../../services/process/log-error.ts';

/** The field `err` of a log line. */
function logged(err: unknown): Record<string, unknown> {
  const lines: string[] = [];
  const log = pino({ serializers: { err: describeError } }, { write: (line: string) => lines.push(line) });
  log.warn({ err }, 'failed');
  return JSON.parse(lines[0] as string).err;
}

test('a fault is logged with its code, detail and reasons, without a stack trace', () => {
  const cause = new Error('ECONNREFUSED');
  const err = logged(
    new Fault('parent-refused', 'the parent answered 403', { detail: { status: 403 }, cause }),
  );
  assert.equal(err.code, 'parent-refused');
  assert.deepEqual(err.detail, { status: 403 });
  assert.equal(err.message, 'the parent answered 403: ECONNREFUSED');
  assert.doesNotMatch(JSON.stringify(err), /\.ts:\d/);
});

test('any other error is a defect, and is logged with its stack trace', () => {
  assert.match(String(logged(new TypeError('undefined is no function')).stack), /log-error\.test\.ts:\d/);
});
