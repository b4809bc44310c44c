import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault, type FaultCode, faultCodes } from '#proto/contract/fault.ts';
import { refusalOf } from '../../../cli/terminal/failure.ts';
import { errorCodes, exitCodes, Refusal } from '../../../cli/terminal/refusal.ts';
import { runCommandHere } from '../../support/command-line.ts';

/** Exit codes by what a script has to distinguish. */

const faultRows: Partial<Record<FaultCode, number>> = {
  unavailable: 75,
  busy: 75,
  'too-many': 75,
  'too-slow': 75,
  'window-closed': 75,
  paused: 75,
  unauthorized: 77,
  denied: 77,
  'volume-unusable': 65,
};

test('each fault has its exit code, and is its own error code', () => {
  for (const code of faultCodes) {
    const refusal = refusalOf(new Fault(code, 'cause: remedy'));
    assert.deepEqual([refusal.exitCode, refusal.code], [faultRows[code] ?? 1, code]);
  }
});

const others: [error: unknown, exitCode: number, code: string][] = [
  [new Refusal('no'), 1, 'failed'],
  [new Refusal('no', 2), 2, 'usage'],
  [new Refusal('no', 130), 130, 'interrupted'],
  [Object.assign(new Error('EACCES'), { code: 'EACCES', path: '/x' }), 77, 'not-permitted'],
  [Object.assign(new Error('EPERM'), { code: 'EPERM', path: '/x' }), 77, 'not-permitted'],
  [Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path: '/x' }), 1, 'failed'],
  [new TypeError('defect'), 1, 'failed'],
];
test('other errors have the exit code of what caused them', () => {
  for (const [error, exitCode, code] of others) {
    const refusal = refusalOf(error);
    assert.deepEqual([refusal.exitCode, refusal.code], [exitCode, code]);
  }
});

test('all exit codes are described, and have an error code', () => {
  const known = Object.keys(exitCodes);
  assert.deepEqual(known.slice(1), Object.keys(errorCodes));
  for (const exitCode of Object.values(faultRows)) assert.ok(known.includes(String(exitCode)));
});

test('without a layer the exit code is 69, and with --json the error is one object on stderr', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-none-'));
  t.after(() => rm(data, { recursive: true }));
  for (const command of ['status', 'events', 'replay', 'sync']) {
    const { code, text } = await runCommandHere(command, '--data', data);
    assert.equal(code, 69);
    assert.match(text, /^terrace: no Terrace runs on .*: start it with "terrace up --data .*\n$/);
    const inJson = await runCommandHere(command, '--data', data, '--json');
    const message = text.slice('terrace: '.length).trimEnd();
    assert.equal(inJson.code, 69);
    assert.deepEqual(JSON.parse(inJson.text), { error: { code: 'no-layer', message, exitCode: 69 } });
    assert.equal(inJson.stdout, '');
  }
});

test('with --json, an error of the command line is one object, too', async () => {
  const { code, text } = await runCommandHere('events', '--json', '--sinc', '2h');
  assert.equal(code, 2);
  const message = '"--sinc" is not an option of "terrace events": did you mean --since?';
  assert.deepEqual(JSON.parse(text), { error: { code: 'usage', message, exitCode: 2 } });
});
