import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChecks } from '../../../cli/doctor/run-checks.ts';
import { type Check, fault, warning } from '../../../cli/doctor/verdict/check.ts';

type Subject = { ran: string[] };

const check = (name: string, more: Partial<Check<Subject>> = {}): Check<Subject> => ({
  name,
  group: 'machine',
  description: name,
  run: async ({ ran }) => {
    ran.push(name);
    return { about: 'fine' };
  },
  ...more,
});
const broken: Check<Subject>['run'] = async () => ({
  about: '',
  findings: [fault('broken', 'repair it'), warning('w', 'r')],
});
const limits = { checkMs: 10_000, totalMs: 60_000 };

test('what needs a check with a fault is not made, and says which; the others are', async () => {
  const subject: Subject = { ran: [] };
  const checks = [
    check('a', { run: broken }),
    check('b', { needs: ['a'] }),
    check('c', { needs: ['b'] }),
    check('d', { after: ['a'] }),
    check('e'),
  ];
  const results = await runChecks(checks, subject, limits);
  assert.deepEqual(
    results.map(({ check: name, state, about }) => `${name} ${state} ${about}`.trim()),
    ['a fault', 'b not checked a has a fault', 'c not checked a has a fault', 'd ok fine', 'e ok fine'],
  );
  assert.deepEqual(subject.ran.sort(), ['d', 'e']);
});

test('a check that is named runs with all that it needs, and nothing else', async () => {
  const subject: Subject = { ran: [] };
  const checks = [
    check('a'),
    check('b', { needs: ['a'] }),
    check('c', { needs: ['b'], after: ['d'] }),
    check('d'),
  ];
  const results = await runChecks(checks, subject, limits, ['c']);
  assert.deepEqual(
    results.map((result) => result.check),
    ['a', 'b', 'c'],
  );
  assert.deepEqual(subject.ran, ['a', 'b', 'c']);
});

test('a check that does not end, or throws, is not made; its signal aborts', async () => {
  let aborted = false;
  const hangs: Check<Subject>['run'] = (_, signal) => {
    signal.addEventListener('abort', () => {
      aborted = true;
    });
    return new Promise(() => {});
  };
  const throws: Check<Subject>['run'] = async () => {
    throw Object.assign(new Error('no'), { code: 'EACCES', path: '/x' });
  };
  const checks = [
    check('a', { run: hangs }),
    check('b', { needs: ['a'] }),
    check('c', { run: throws }),
    check('d'),
  ];
  const results = await runChecks(checks, { ran: [] }, { checkMs: 20, totalMs: 60_000 });
  assert.deepEqual(
    results.map(({ state }) => state),
    ['not checked', 'not checked', 'not checked', 'ok'],
  );
  assert.equal(results[0]?.about, 'no answer within 0.02 s');
  assert.equal(results[1]?.about, 'no answer within 0.02 s');
  assert.match(results[2]?.about ?? '', /^\/x can't be used \(EACCES\)/);
  assert.ok(aborted);
  const [late] = await runChecks([check('a', { run: hangs })], { ran: [] }, { checkMs: 60_000, totalMs: 20 });
  assert.equal(late?.about, 'no answer within the time of all checks');
});
