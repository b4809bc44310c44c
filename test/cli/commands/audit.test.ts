import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { testLayer } from '../../support/layer.ts';
import { runCommand } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

test('the audit log records who started and stopped a layer and changed its configuration and accounts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-audit-'));
  t.after(() => rm(folder, { recursive: true }));
  const configFile = join(folder, 'layer.yaml');
  const data = join(folder, 'data');
  await writeFile(configFile, 'mode: ReadWrite\n');
  const lines = async () => {
    const text = await readFile(join(data, 'log/audit.log'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  {
    await using _layer = await testLayer({ data, configFile, compact: 'hosted', name: 'line-7' });
    const { code } = await runCommand('token', 'create', 'ci', '--push', '*', '--data', data);
    assert.equal(code, 0);
    await writeFile(configFile, 'mode: ReadOnly\n');
    const isChanged = ({ detail }: { detail?: { fields?: string[] } }) => detail?.fields?.join() === 'mode';
    await until(async () => (await lines()).some(isChanged));
  }
  const all = await lines();
  const summaries = all.map(({ action, outcome, account }) => `${action} ${outcome} ${account}`);
  for (const expected of [
    'storage/start said _operator',
    'token/create begun _operator',
    'token/create done _operator',
    'configuration/change said _twin-bridge',
    'storage/stop said _operator',
  ]) {
    assert.ok(summaries.includes(expected), `${expected}: ${summaries}`);
  }
  assert.equal(summaries[0], 'storage/start said _operator');
  assert.equal(summaries.at(-1), 'storage/stop said _operator');
  for (const { layer, time, account, person } of all) {
    assert.equal(layer, 'line-7');
    assert.ok(!Number.isNaN(Date.parse(time)));
    if (account === '_operator') assert.match(person, /^[\w.@\\-]+$/);
  }
});
