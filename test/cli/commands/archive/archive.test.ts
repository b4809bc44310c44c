import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { runCommand } from '../../../support/terrace.ts';

test('terrace export and import carry a layer as files, with and without a running layer', async (context) => {
  const work = await mkdtemp(join(tmpdir(), 'terrace-archive-'));
  context.after(() => rm(work, { recursive: true, force: true }));
  const folder = (name: string) => join(work, name);
  const stick = folder('stick');
  await mkdir(stick);
  const north = ['--data', folder('north')];
  {
    await using layer = await testLayer({ data: folder('north'), name: 'north', compact: 'hosted' });
    await pushImage(layer.host, 'line/controller', '1');
    const first = await runCommandHere('export', '--to', stick, '--target', 'south', ...north);
    assert.equal(first.code, 0, first.text);
    assert.match(
      first.stdout,
      /^Set 1 for south is in .*: 1 part, .*\n {2}1 tag new or moved; 1 tag in all; 3 blobs/,
    );
    const again = await runCommandHere('export', '--to', stick, ...north);
    assert.match(again.stdout, /^Nothing has changed since set 1/);
    const wrong = await runCommandHere('export', '--to', folder('none'), ...north);
    assert.equal(wrong.code, 1, wrong.text);
    assert.match(wrong.text, /none does not exist: mount the disk/);
  }

  const second = await runCommand('export', '--to', stick, '--always', '--json', ...north);
  assert.equal(second.code, 0, second.text);
  assert.equal(JSON.parse(second.stdout).name, 'terrace-north-south-000002', 'the name is that of the layer');
  const listed = await runCommand('export', 'list', '--json', ...north);
  assert.deepEqual(
    JSON.parse(listed.stdout).sets.map(({ number }: { number: number }) => number),
    [2, 1],
  );

  const south = ['--data', folder('south')];
  const imported = await runCommand('import', stick, ...south);
  assert.equal(imported.code, 0, imported.text);
  assert.match(
    imported.stdout,
    /^Set 2 of north is imported: 3 blobs and manifests, .*, 1 tag new or moved, 0 deleted/,
  );
  assert.match(imported.text, /no key is configured/);

  await rm(join(stick, 'terrace-north-south-000001-part-001.tar'));
  const forgotten = await runCommand('export', 'forget', 'south', '1', ...north);
  assert.match(forgotten.stdout, /^Set 1 for south is forgotten: .*\(3 blobs and manifests\)/);
  const refused = await runCommand('import', stick, '--json', '--data', folder('east'));
  assert.equal(refused.code, 1, refused.text);
  const [result] = JSON.parse(refused.stdout).results;
  assert.deepEqual([result.outcome, result.missing], ['refused', [1]]);
  assert.ok((await readdir(stick)).length > 4);
});

test('terrace export and import name an option that is not valid', async () => {
  const cases: [string[], RegExp][] = [
    [['export'], /--to is missing/],
    [['export', '--to', '.', '--repository', 'A B'], /--repository "A B" is not valid/],
    [['export', '--to', '.', '--platform', 'linux'], /--platform "linux" is not valid/],
    [['export', '--to', '.', '--since', 'x'], /--since "x" is not valid/],
    [['export', '--to', '.', '--max-size', '1KiB'], /--max-size "1KiB" is not valid/],
    [['export', '--to', '.', '--parity', '0'], /--parity "0" is not valid/],
    [['export', '--to', '.', '--target', 'A'], /target "A" is not valid/],
    [['export', 'forget', 'south', '0'], /set "0" is not valid/],
    [['import', '.', '--conflict', 'both'], /--conflict "both" is not valid/],
  ];
  for (const [parameters, expected] of cases) {
    const { code, text } = await runCommandHere(...parameters);
    assert.equal(code, 2, parameters.join(' '));
    assert.match(text, expected);
  }
});
