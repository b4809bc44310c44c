import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Bus } from '#proto/bus/bus.ts';
import { refuseDelta } from '#proto/content/deltas.ts';
import { claimTransfer, commitBlob } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { deltaApplied } from '#proto/sync/delta-jobs.ts';
import { transferFinished } from '#proto/sync/transfers.ts';
import { Volume } from '#proto/volume/volume.ts';
import { quiet } from '../../../../cli/connection/connect.ts';
import { dataFolder } from '../../../../cli/data/data-folder.ts';
import type { ShownDeltas } from '../../../../cli/text/sync/delta-text.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { digestOf, pushImage, pushManifest } from '../../../support/registry/image.ts';

/** The bus of a layer, as one of its syncers. */
async function syncerBus({ data }: TestLayer): Promise<Bus> {
  const folder = dataFolder(data);
  const read = async (file: string) => (await readFile(file, 'utf8')).trim();
  const [url, password] = await Promise.all([read(folder.busUrl), read(folder.password('syncer'))]);
  return Bus.connect({ url, user: 'syncer', password, layer: 'x', instance: 's', log: quiet });
}

test('an image is shown with the deltas that are kept to its layers, and how each came here', async () => {
  await using layer = await testLayer({ compact: 'hosted', mode: 'ReadWrite' });
  const [base, shared] = [randomBytes(5_000), randomBytes(3_000)];
  const old = await pushImage(layer.host, 'line/web', '2', { layers: [base, shared] });
  const image = await pushImage(layer.host, 'line/web', '2', { layers: [randomBytes(8_000), shared] });
  await pushImage(layer.host, 'line/web', '1', { layers: [shared] });
  const [[from], [to, other]] = [old.layers, image.layers];
  assert.ok(from && to && other);

  await using syncer = await syncerBus(layer);
  const bytes = randomBytes(400);
  const digest = digestOf(bytes);
  const pair = { from: [from.digest], format: DELTA_FORMAT };
  const delta = { ...pair, to: to.digest, toSize: to.size, kind: 'gzip' as const, cpuMs: 1_234 };
  const wanted = { repository: 'line/web', digest, size: bytes.length, by: 's' };
  const claim = await syncer.call(claimTransfer, { ...wanted, delta });
  {
    await using file = await new Volume(layer.data).openIngest(claim);
    await file.write([bytes], 0);
  }
  await syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest, delta });
  await syncer.call(refuseDelta, { ...pair, to: other.digest, reason: 'poor' });
  syncer.publish(transferFinished, {
    ...{ repository: 'line/web', digest: to.digest, size: to.size, direction: 'down', syncer: 's' },
    ...{ pass: 'p', delta: { digest, size: bytes.length } },
    saved: { by: 'delta', bytes: to.size - bytes.length, cpuMs: 70 },
  });
  await layer.event(transferFinished);
  // The pass finds what a prefetch brought.
  const finished = { repository: 'line/web', digest: to.digest, size: to.size, syncer: 's', pass: 'q' };
  syncer.publish(transferFinished, { ...finished, direction: 'down', held: true });
  await layer.event(transferFinished, ({ held }) => held === true);

  // What a child pushed as a delta.
  const pushed = await pushImage(layer.host, 'line/pushed', '1', { layers: [randomBytes(9_000)] });
  const applied = { to: pushed.layers[0]?.digest ?? '', toSize: 9_000, from: [from.digest], digest };
  const cost = { size: 500, cpuMs: 90, ms: 100, repository: 'line/pushed', syncer: 's' };
  syncer.publish(deltaApplied, { ...applied, ...cost });
  await layer.event(deltaApplied);

  const terrace = async (...parameters: string[]) => {
    const { COLUMNS: before } = process.env;
    process.env.COLUMNS = '80';
    const ran = await runCommandHere('delta', 'explain', ...parameters, '--data', layer.data);
    process.env.COLUMNS = before;
    assert.equal(ran.code, 0, ran.text);
    assert.deepEqual(
      ran.stdout.split('\n').filter((line) => line.length > 80 && !parameters.includes('--json')),
      [],
    );
    return ran.stdout;
  };
  const short = (one: { digest: string }) => one.digest.slice(7, 19);
  const text = await terrace('line/web:2');
  assert.match(text, new RegExp(`^line/web:2\n${image.digest}\n\nLAYER +DIGEST +SIZE +CAME\n`));
  assert.match(
    text,
    new RegExp(`\n1 +${short(to)} +8\\.0 kB +\\d+ s ago: 400 B by delta, 7\\.6 kB saved, CPU 0\\.07 s\n`),
  );
  assert.match(text, new RegExp(`\n2 +${short(other)} +3\\.0 kB +no transfer is on record\n`));
  assert.match(
    text,
    new RegExp(`\n1 +${short(from)} \\(2 before\\) +gzip +400 B +5 % +1\\.2 s +\\d+ s ago +\\d+ s ago\n`),
  );
  assert.match(
    text,
    new RegExp(`\nLAYER +NO DELTA FROM +WHY\n2 +${short(from)} \\(2 before\\) +its delta is hardly smaller`),
  );
  const json = JSON.parse(await terrace('line/web:2', '--json')) as ShownDeltas;
  assert.deepEqual([json.name, json.mode, json.digest], ['line/web:2', 'auto', image.digest]);
  const [first, second] = json.manifests[0]?.layers ?? [];
  assert.deepEqual(first?.deltas[0]?.from, [{ digest: from.digest, names: ['2 before'] }]);
  assert.deepEqual([first?.arrival?.by, first?.arrival?.saved], ['delta', to.size - bytes.length]);
  assert.deepEqual(second?.refused, [
    { from: [{ digest: from.digest, names: ['2 before'] }], reason: 'poor' },
  ]);

  assert.match(await terrace('line/pushed:1'), / ago: 500 B by delta, 8\.5 kB saved, CPU 0\.09 s\n/);

  // An index: each of its manifests; one without deltas.
  const index = await pushManifest(layer.host, 'line/web', 'all', mediaTypes.ociIndex, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [image, old].map(({ mediaType, digest, size, platform }) => ({
      ...{ mediaType, digest, size, platform },
    })),
  });
  const both = await terrace(`line/web@${index.digest}`);
  assert.match(both, new RegExp(`\nlinux/amd64: ${short(image)}\n[^]*\nlinux/amd64: ${short(old)}\n`));
  assert.match(both, /\nNo delta to any of its layers is kept here\.\n/);

  for (const [parameters, message, code] of [
    [['line/web:none'], /has no tag none/, 1],
    [['line/web'], /is not the name of an image: write REPOSITORY:TAG/, 2],
    [['Line:1'], /is not the name of an image/, 2],
  ] as const) {
    const ran = await runCommandHere('delta', 'explain', ...parameters, '--data', layer.data);
    assert.match(ran.text, message);
    assert.equal(ran.code, code);
  }
});
