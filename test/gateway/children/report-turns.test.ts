import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import {
  MAX_REPORTS,
  MAX_REPORTS_EACH,
  ReportTurns,
} from '../../../services/gateway/children/report-turns.ts';

/** Limits of reports in progress. */

const refused = (error: unknown) =>
  Fault.is(error, 'too-many') &&
  Number.isInteger(error.detail?.retryAfter) &&
  /again in \d+ s/.test(error.message);

test('a child may have one report processed and one waiting, and a slot again when either ends', () => {
  const turns = new ReportTurns();
  const slots = Array.from({ length: MAX_REPORTS_EACH }, () => turns.admit('line'));
  for (let n = 0; n < 100; n += 1) throws(() => turns.admit('line'), refused);
  using _other = turns.admit('another');
  slots.pop()?.[Symbol.dispose]();
  using _next = turns.admit('line');
  throws(() => turns.admit('line'), refused);
});

test('all children together may have MAX_REPORTS reports in progress', () => {
  const turns = new ReportTurns();
  const slots = Array.from({ length: MAX_REPORTS }, (_, n) => turns.admit(`child-${n}`));
  throws(() => turns.admit('one-more'), refused);
  for (const slot of slots) slot[Symbol.dispose]();
  using _slot = turns.admit('one-more');
});

test('reports of one child are processed one after the other', async () => {
  const turns = new ReportTurns();
  const order: string[] = [];
  let concurrent = 0;
  const processReport = (name: string) =>
    turns.run('line', async () => {
      concurrent += 1;
      equal(concurrent, 1);
      await new Promise((resolve) => setImmediate(resolve));
      concurrent -= 1;
      order.push(name);
    });
  await Promise.all([processReport('first'), processReport('second')]);
  deepEqual(order, ['first', 'second']);
});
