import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { logOut, session } from '../../page/api/session.ts';

test('a logout that no gateway answers is not shown as done', async () => {
  await logOut();
  const { state, notice = '' } = session.value as { state: string; notice?: string };
  deepEqual(state, 'none');
  match(notice, /^Logging out failed.*does not answer.*log out again/);
});
