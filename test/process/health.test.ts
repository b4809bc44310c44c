import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { healthFolder } from '#proto/process/health.ts';
import { Health } from '../../services/process/health.ts';
import { quiet } from '../support/bus.ts';
import { until } from '../support/until.ts';

const YEARS = 56 * 365 * 86_400_000;

for (const jump of [YEARS, -YEARS]) {
  test(`a health file is written again after the clock was set by ${jump} ms`, async (t) => {
    const data = await mkdtemp(join(tmpdir(), 'terrace-health-'));
    t.after(() => rm(data, { recursive: true, force: true }));
    const bus = { flush: async () => {} };
    await using health = new Health({ service: 'storage', data, bus, log: quiet, clockPollMs: 5 });
    await health.start();
    const folder = healthFolder(data);
    const [file] = await readdir(folder);
    assert.ok(file);
    // As a process of another host does, to which the time of the file is decades old.
    await rm(folder, { recursive: true });
    const { now } = Date;
    t.mock.method(Date, 'now', () => now() + jump);
    await until(async () => (await readdir(folder).catch((): string[] => [])).includes(file), 'the file');
  });
}
