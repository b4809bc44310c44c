import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sends } from '../../../../services/syncer/reconcile/context/sends.ts';

const overtaken = { code: 'conflict', detail: { overtaken: true } };

test('a tag is sent by one pass at a time, and a pass knows what others sent since it began', () => {
  const sends = new Sends();
  using one = sends.observe();
  using before = one.begin('app', 'v1');
  using other = sends.observe();
  assert.throws(() => other.begin('app', 'v1'), overtaken);
  // Its own are not those of another pass.
  assert.deepEqual([one.hasOther('app', 'v1'), other.hasOther('app', 'v1')], [false, true]);
  before[Symbol.dispose]();
  assert.throws(() => other.mustHaveNoOther('app', 'v1'), overtaken);
  other.begin('app', 'v2')[Symbol.dispose]();
  assert.deepEqual([one.hasOther('app', 'v2'), one.hasOther('other', 'v2')], [true, false]);
  using later = sends.observe();
  assert.equal(later.hasOther('app', 'v2'), false);
  later.mustHaveNoOther('app', 'v1');
});
