import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { canonicalJson } from '#proto/archive/canonical-json.ts';
import { deleteSets } from '../../../services/storage/exchange/folder-listing.ts';

test('sets of another pair with the same name, of later numbers and other files stay; damaged ones do not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-listing-'));
  const put = (name: string, text = 'x') => writeFile(join(folder, name), text);
  const listOf = (layer: string, name: string) =>
    canonicalJson({
      selection: ['x'.repeat(3_000)],
      sender: { layer, epoch: 'e', instance: 'i', since: 1 },
      since: 0,
      target: { name, epoch: null, imported: null },
      version: 1,
    });
  try {
    for (const number of ['000001', '000002', '000003', '000004'])
      await put(`terrace-a-b-c-${number}-part-001.tar`);
    await put('terrace-a-b-c-000001-list.json', listOf('a', 'b-c'));
    await put('terrace-a-b-c-000002-list.json', listOf('a-b', 'c'));
    await put('terrace-a-b-c-000003-list.json', listOf('a', 'b-c').slice(0, 3_100));
    await put('terrace-a-b-c-000004-list.json', listOf('a', 'b-c'));
    await put('terrace-a-b-000001-list.json', listOf('a', 'b'));
    await put('notes.txt');
    assert.equal(await deleteSets(folder, { sender: 'a', target: 'b-c', upTo: 3 }), 4);
    assert.deepEqual((await readdir(folder)).sort(), [
      'notes.txt',
      'terrace-a-b-000001-list.json',
      'terrace-a-b-c-000002-list.json',
      'terrace-a-b-c-000002-part-001.tar',
      'terrace-a-b-c-000004-list.json',
      'terrace-a-b-c-000004-part-001.tar',
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
