import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TagItem } from '#proto/api/repositories.ts';
import type { InventoryRow } from '../../../../cli/text/content/inventory-text.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { pushSigned } from './signed-image.ts';

test('an inventory has a row for each tag, with origin, signers and SBOMs, which are written to files', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-sboms-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await using cloud = await startCloud();
  const signed = await pushSigned(cloud.host, 'line/web', '2.1');
  await using layer = await testLayer({
    ...{ compact: 'hosted', mode: 'ReadWrite', parent: cloud.url },
    repositories: ['line/*'],
  });
  await layer.sync();
  await pushImage(layer.host, 'tool/own', 'v1');
  const terrace = async (...parameters: string[]) => {
    const ran = await runCommandHere('inventory', ...parameters, '--data', layer.data);
    assert.equal(ran.code, 0, ran.text);
    return ran.stdout;
  };
  const json = await terrace('--json', '--sbom', '--to', folder);
  const rows = json
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as InventoryRow);
  const web = rows.find(({ image }) => image === 'line/web:2.1');
  assert.deepEqual([web?.digest, web?.kind, web?.parent], [signed.index.digest, 'index', 'same']);
  assert.deepEqual(web?.platforms, ['linux/amd64', 'linux/arm64']);
  assert.deepEqual([web?.origin?.from, web?.origin?.name], ['parent', cloud.host]);
  const [signature] = web?.attached.filter(({ kind }) => kind === 'signature') ?? [];
  assert.deepEqual(signature?.signer, {
    ...{ scheme: 'cosign', by: 'release@example.org', issuer: 'Example Root', verified: false },
  });
  const sboms = (web?.sboms ?? []).map(({ file: _, digest: __, ...sbom }) => sbom);
  assert.deepEqual(sboms, [
    { format: 'SPDX', version: '2.3', name: 'of the index', packages: 2 },
    { platform: 'linux/amd64', format: 'SPDX', version: '2.3', name: 'of amd64', packages: 3 },
  ]);
  assert.equal(rows.find(({ image }) => image === 'tool/own:v1')?.origin?.from, 'client');
  assert.ok(rows.some(({ tag, kind }) => tag.endsWith('.sig') && kind === 'attached'));

  const page = await fetch(`${layer.url}/api/v1/repositories/line%2Fweb/tags?attached=true`);
  const { items } = (await page.json()) as { items: TagItem[] };
  assert.deepEqual(items.find(({ tag }) => tag === '2.1')?.image?.attached, web?.attached);

  // What was attached as it is is written as it is; what an attestation holds is taken out of it.
  const files = (await readdir(folder)).sort();
  assert.equal(files.length, 2, files.join());
  for (const name of files) assert.match(name, /^line_web-2\.1\.(linux_amd64\.)?[0-9a-f]{12}\.spdx\.json$/);
  const contents = await Promise.all(files.map((name) => readFile(join(folder, name))));
  assert.ok(contents.some((bytes) => bytes.equals(signed.spdx)));
  assert.ok(contents.some((bytes) => JSON.parse(bytes.toString()).name === 'of amd64'));

  const csv = await terrace('--csv', '--repository', 'line/*', '--sbom');
  const [head, ...lines] = csv.trimEnd().split('\r\n');
  assert.match(
    head ?? '',
    /^image,tag,digest,kind,.*,since,from,from whom,parent,signed,signers,attached,sboms$/,
  );
  assert.ok(lines.every((line) => line.startsWith('line/web:')));
  const line = lines.find((one) => one.startsWith('line/web:2.1,')) ?? '';
  assert.match(line, /,linux\/amd64 linux\/arm64,\d+,0,\d{4}-\d\d-\d\dT[^,]+Z,parent,127\.0\.0\.1:\d+,same,/);
  assert.match(line, /,"signed, not verified",release@example\.org,/);
  assert.match(line, /SPDX 2\.3 ""of amd64"", for linux\/amd64, 3 packages, sha256:/);

  const { COLUMNS } = process.env;
  process.env.COLUMNS = '80';
  try {
    const text = await terrace();
    assert.deepEqual(
      text.split('\n').filter((one) => one.length > 80),
      [],
    );
  } finally {
    process.env.COLUMNS = COLUMNS;
  }
  for (const [parameters, message] of [
    [['--csv', '--json'], /exclude each other/],
    [['--to', folder], /--to needs --sbom/],
    [['--repository', 'A'], /is no pattern/],
  ] as const) {
    const { code, text } = await runCommandHere('inventory', ...parameters, '--data', layer.data);
    assert.deepEqual([code, message.test(text)], [2, true]);
  }
});
