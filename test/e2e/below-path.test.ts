import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import { testLayer } from '../support/layer.ts';
import { PathProxy } from '../support/proxy/path-proxy.ts';
import { getManifest, pushImage, tagsOf } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

test('a layer logs in, synchronizes and follows the changes of a Terrace that a proxy serves below a path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-below-path-'));
  try {
    const configFile = join(folder, 'top.yaml');
    await writeFile(configFile, 'anonymousPull: ["*"]\n');
    await using top = await testLayer({ name: 'top', compact: 'hosted', configFile });
    await using proxy = await PathProxy.start(top.url, '/plant/registry');
    const first = await pushImage(top.url, 'app', 'v1');
    const actions = actionsOfChild('line-1', 'ReadWrite', ['*']);
    const { password } = await top.bus().call(createToken, { name: 'line-1', actions });
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, password);
    await using child = await testLayer({
      name: 'line-1',
      parent: { url: proxy.url, username: 'line-1', passwordFile },
      repositories: ['*'],
      schedule: '* * * * *',
      compact: 'hosted',
    });
    await until(async () => (await tagsOf(child.url, 'app')).includes('v1'));
    assert.equal((await getManifest(child.url, 'app', 'v1'))?.digest, first.digest);
    await pushImage(child.url, 'line/app', 'v2', { layers: [100_000] });
    await until(async () => (await tagsOf(top.url, 'line/app')).includes('v2'));
    await until(() => proxy.answered.includes('GET /v2/_terrace/changes 200'));
    assert.ok(proxy.answered.includes('PUT /v2/_terrace/children/line-1 201'));
    assert.ok(proxy.answered.includes('GET /v2/token 200'));
    // The realm lacks the path: it is requested there first.
    assert.deepEqual([...new Set(proxy.outside.map((path) => path.split('?')[0]))], ['/v2/token']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
