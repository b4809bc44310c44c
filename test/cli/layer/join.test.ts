import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { joinLayer } from '../../../cli/layer/join.ts';
import { TestBus } from '../../support/bus.ts';
import { patience } from '../../support/until.ts';

test('syncers for a layer of which they learn nothing, as of another version, wait and say what may be why', async () => {
  await using server = await TestBus.start();
  const data = await mkdtemp(join(tmpdir(), 'terrace-join-'));
  try {
    await mkdir(join(data, 'bus'));
    await writeFile(join(data, 'bus/url'), server.url);
    await writeFile(join(data, 'bus/syncer.password'), 'secret-of-syncer');
    const over = new AbortController();
    const late = setTimeout(() => over.abort(), patience(30_000));
    const said: string[] = [];
    const say = (text: string) => {
      said.push(text);
      over.abort();
    };
    await joinLayer({ data, print: say }, over.signal);
    clearTimeout(late);
    assert.match(said[0] ?? '', /^The layer at .* or runs another version of Terrace .*: waiting …$/);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
