import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Manifest } from '#proto/api/manifests.ts';
import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { program } from '../../../support/terrace.ts';
import { pushSigned } from './signed-image.ts';

const run = promisify(execFile);
const lines = <T>(text: string): T[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

test('what is in a layer is listed and shown as the API answers it', async () => {
  await using cloud = await startCloud();
  const signed = await pushSigned(cloud.host, 'line/web', '2.1');
  await pushImage(cloud.host, 'line/web', '1', { layers: [2_000] });
  await using layer = await testLayer({
    compact: 'hosted',
    mode: 'ReadWrite',
    parent: cloud.url,
    repositories: ['line/*'],
  });
  await layer.sync();
  await pushImage(layer.host, 'tool/own', 'v1');
  const terrace = async (...parameters: string[]) => {
    const ran = await runCommandHere(...parameters, '--data', layer.data);
    assert.equal(ran.code, 0, ran.text);
    return ran.stdout;
  };
  const api = async <T>(path: string): Promise<T> =>
    (await (await fetch(`${layer.url}/api/v1${path}`)).json()) as T;
  /** Asserts that the output fits into 80 columns. */
  const fits = async (...parameters: string[]) => {
    const { COLUMNS: before } = process.env;
    process.env.COLUMNS = '80';
    try {
      const text = await terrace(...parameters);
      const wide = text.split('\n').filter((line) => line.length > 80);
      assert.deepEqual(wide, []);
    } finally {
      process.env.COLUMNS = before;
    }
  };

  // Repositories.
  const listed = await terrace('repositories');
  await fits('repositories');
  assert.match(listed, /^REPOSITORY +TAGS +SIZE +CHANGED +PARENT\nline\/web +4 +\S+ kB +\d+ s ago +same\n/);
  assert.match(listed, /\ntool\/own +1 +\S+ kB +\d+ s ago +local only\n$/);
  assert.match(await terrace('repositories', 'tool/'), /^REPOSITORY.*\ntool\/own[^\n]*\n$/);
  const repositories = lines<RepositoryItem>(await terrace('repositories', '--json'));
  const { items } = await api<{ items: RepositoryItem[] }>('/repositories?contents=true');
  assert.deepEqual(repositories, items);

  // Tags.
  const tags = await terrace('tags', 'line/web');
  await fits('tags', 'line/web');
  assert.match(tags, /^TAG +DIGEST +SIZE +PLATFORMS +SINCE +PARENT\n1 +[0-9a-f]{12} +/);
  assert.match(tags, /\n2\.1 +[0-9a-f]{12} +\S+ kB +amd64, arm64 +\d+ s ago +same\n/);
  const tagItems = lines<TagItem>(await terrace('tags', 'line/web', '--json'));
  const answer = await api<{ items: TagItem[] }>('/repositories/line%2Fweb/tags?contents=true');
  assert.deepEqual(tagItems, answer.items);
  const [, two] = tagItems;
  assert.equal(two?.digest, signed.index.digest);
  assert.deepEqual([two?.origin?.from, two?.origin?.name], ['parent', cloud.host]);
  assert.deepEqual(two?.image?.platforms, ['linux/amd64', 'linux/arm64']);
  const [own] = lines<TagItem>(await terrace('tags', 'tool/own', '--json'));
  assert.equal(own?.origin?.from, 'client');

  // One image.
  const shown = await terrace('show', 'line/web:2.1');
  await fits('show', 'line/web:2.1');
  assert.match(shown, new RegExp(`^line/web:2.1\n${signed.index.digest}\n`));
  assert.match(shown, /origin +from the parent 127\.0\.0\.1:\d+, since \d{4}-/);
  assert.match(shown, /parent +same: held here and at the parent/);
  assert.match(
    shown.replaceAll(/\s+/g, ' '),
    /signed, not verified: cosign, as release@example\.org \(certificate of Example Root\)/,
  );
  assert.match(shown, /\nlinux\/arm64: 1 layer, /);
  assert.match(shown, /\nsbom +application\/spdx\+json +referrer /);
  assert.match(
    shown.replaceAll(/\s+/g, ' '),
    /sbom https:\/\/spdx\.dev\/Document, for index|for linux\/amd64/,
  );
  assert.match(shown, /\n {2}org\.opencontainers\.image\.version: 2\.1\n {2}… and 1 other: --json has all/);
  const json = JSON.parse(await terrace('show', 'line/web:2.1', '--json')) as Manifest & {
    name: string;
    tag: TagItem;
    manifests: Manifest[];
    config: object;
    below: unknown[];
  };
  const { name, tag, manifests, config, below, ...manifest } = json;
  assert.deepEqual([name, tag.origin, config, below], ['line/web:2.1', two?.origin, {}, []]);
  assert.equal(manifests.length, 2);
  assert.deepEqual(manifest, await api('/repositories/line%2Fweb/manifests/2.1'));
  const byDigest = await terrace('show', `line/web@${signed.amd64.digest}`);
  assert.match(byDigest, /\nLayers: 1 layer, /);

  // Faults.
  for (const [parameters, message, code] of [
    [['tags', 'line/none'], /repository line\/none is not known here/, 1],
    [['show', 'line/web:none'], /has no tag none/, 1],
    [['show', 'line/web'], /is not the name of an image: write REPOSITORY:TAG/, 2],
    [['tags', 'Line'], /is not the name of a repository/, 2],
    [['repositories', 'A'], /begins no name of a repository/, 2],
  ] as const) {
    const ran = await runCommandHere(...parameters, '--data', layer.data);
    assert.match(ran.text, message);
    assert.equal(ran.code, code);
  }

  // A reader that closes the pipe ends the list without an error.
  const { stdout, stderr } = await run('bash', [
    '-c',
    `set -o pipefail; ${program} tags line/web --json --data ${layer.data} | head -1`,
  ]);
  assert.equal(lines(stdout).length, 1);
  assert.equal(stderr, '');
});
