import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filteredList } from '../../page/state/repository-list.ts';
import { repositories } from './content.ts';

const all = repositories(false);

test('a list that is whole answers a filter by name as the gateway does', () => {
  const names = (match: string) => filteredList(all, match)?.items.map(({ repository }) => repository);
  assert.deepEqual(names('WEB'), ['line/web']);
  assert.deepEqual(names('/p'), ['line/plc-config']);
  assert.deepEqual(names('nowhere'), []);
  assert.equal(names('')?.length, all.items.length);
});

test('a page of a list, or none, answers no filter', () => {
  assert.equal(filteredList({ ...all, next: 'line/web' }, 'web'), undefined);
  assert.equal(filteredList(undefined, 'web'), undefined);
});
