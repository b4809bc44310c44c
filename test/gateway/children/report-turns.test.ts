import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import {
  MAX_REPORTS,
  MAX_REPORTS_EACH,
  ReportTurns,
} from '../../../services/gateway/children/report-turns.ts';

/** How many reports are held at a time. */

const refused = (error: unknown) =>
  Fault.is(error, 'too-many') &&
  Number.isInteger(error.detail?.retryAfter) &&
  /again in \d+ s/.test(error.message);

test('a child has one report taken and one that waits, and a place again when either ends', () => {
  const turns = new ReportTurns();
  const held = Array.from({ length: MAX_REPORTS_EACH }, () => turns.admit('line'));
  for (let n = 0; n < 100; n += 1) throws(() => turns.admit('line'), refused);
  using _other = turns.admit('beside');
  held.pop()?.[Symbol.dispose]();
  using _next = turns.admit('line');
  throws(() => turns.admit('line'), refused);
});

test('all children together have so many', () => {
  const turns = new ReportTurns();
  const held = Array.from({ length: MAX_REPORTS }, (_, n) => turns.admit(`child-${n}`));
  throws(() => turns.admit('one-more'), refused);
  for (const place of held) place[Symbol.dispose]();
  using _place = turns.admit('one-more');
});

test('reports of one child are taken one after the other', async () => {
  const turns = new ReportTurns();
  const order: string[] = [];
  let atOnce = 0;
  const take = (name: string) =>
    turns.run('line', async () => {
      atOnce += 1;
      equal(atOnce, 1);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
      order.push(name);
    });
  await Promise.all([take('first'), take('second')]);
  deepEqual(order, ['first', 'second']);
});
