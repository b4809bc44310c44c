import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { joinLayer } from '../../../cli/layer/join.ts';
import { TestBus } from '../../support/bus.ts';
import { patience } from '../../support/until.ts';

test('syncers wait for a layer without a readable configuration, and print the possible causes', async () => {
  await using server = await TestBus.start();
  const data = await mkdtemp(join(tmpdir(), 'terrace-join-'));
  try {
    await mkdir(join(data, 'bus'));
    await writeFile(join(data, 'bus/url'), server.url);
    await writeFile(join(data, 'bus/syncer.password'), 'secret-of-syncer');
    const end = new AbortController();
    const timeout = setTimeout(() => end.abort(), patience(30_000));
    const printed: string[] = [];
    const print = (text: string) => {
      printed.push(text);
      end.abort();
    };
    await joinLayer({ data, print }, end.signal);
    clearTimeout(timeout);
    assert.match(printed[0] ?? '', /^The layer at .* or runs another version of Terrace .*: waiting …$/);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
