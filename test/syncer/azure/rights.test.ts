import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Azure } from '../../support/azure/azure.ts';
import { testLayer } from '../../support/layer.ts';
import { pushImage, tagsOf } from '../../support/registry/image.ts';

/** Rights that an Azure Container Registry withdraws while a layer is synchronized with it. */

const HOURS = 3 * 3_600_000;
const actions = ['pull', 'metadata_read'];

for (const abac of [false, true]) {
  test(`a repository whose right is withdrawn ${abac ? 'by ABAC ' : ''}delays no other repository`, async () => {
    const rights: Record<string, string[]> = { app: actions, other: actions };
    await using azure = await Azure.start({ abac }, rights);
    const { acr } = azure;
    for (const name of ['app', 'other']) await pushImage(acr.backendUrl, name, 'v1');
    const parent = azure.parent('service-principal');
    const options = { name: 'top', parent, repositories: ['app', 'other'], compact: 'hosted' as const };
    await using layer = await testLayer(options);
    assert.deepEqual((await layer.sync()).failures, []);
    delete rights.other;
    acr.advance(HOURS);
    for (const tag of ['v2', 'v3']) {
      await pushImage(acr.backendUrl, 'app', tag);
      const { failures } = await layer.sync();
      assert.deepEqual(
        failures.map(({ repository, code }) => [repository, code]),
        [['other', 'parent-refused']],
      );
      assert.match(failures[0]?.reason ?? '', /content\/read and metadata\/read\), or remove it from/);
      assert.ok((await tagsOf(layer.host, 'app')).includes(tag));
      assert.deepEqual(await tagsOf(layer.host, 'other'), ['v1']);
    }
    acr.clearRequests();
    await layer.sync();
    // The mark of the other repository moved, in spite of the failure.
    assert.deepEqual(
      acr.requestLines().filter((line) => /app\/(_|tags)/.test(line)),
      [],
    );
    rights.other = actions;
    acr.advance(HOURS);
    assert.deepEqual((await layer.sync()).failures, []);
  });
}
