import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupedTests, tests } from './support/groups.ts';
import { files, textOf } from './support/imports.ts';

/** `npm test` runs each test file: in the process of its one group, or in its own. */

test('each group has a file that runs it, and a test file is in one group at most', () => {
  const groups = groupedTests();
  const entries = Object.keys(groups).map((group) => `test/groups/${group}.ts`);
  assert.deepEqual(files.filter((file) => file.startsWith('test/groups/')).sort(), entries.sort());
  for (const [group, members] of Object.entries(groups)) {
    assert.ok(textOf(`test/groups/${group}.ts`).includes(`runInTurn('${group}')`), group);
    assert.ok(members.length > 1, group);
  }
  const members = Object.values(groups).flat();
  assert.equal(new Set(members).size, members.length);
  assert.deepEqual(
    members.filter((file) => !tests.includes(file)),
    [],
  );
});
