import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';
import { residentAfter } from './resident.ts';

const TAGS = 100_000;
/** Max tags of one push. */
const MAX_TAGS_PER_PUSH = 100;
const PAGE = 1_000;
const REPOSITORY = 'bench/tags';

/** Time to create very many tags in a repository, and to list them page by page. */
export const tags: Subject = async (options) => {
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  const { digest } = await pushImage(layer.host, REPOSITORY, undefined, { layers: [100] });
  await pushImage(registry.host, REPOSITORY, '0', { layers: [100] });
  const names = Array.from({ length: TAGS }, (_, n) => `tag-${String(n).padStart(6, '0')}`);

  options.progress(`tags: creating ${TAGS}`);
  const creationS = await timed(() => createTags(layer.url, REPOSITORY, digest, names));
  const folder = join(
    registry.folder,
    `registry/docker/registry/v2/repositories/${REPOSITORY}/_manifests/tags`,
  );
  // docker-registry creates one tag per push, which takes minutes. To list tags, it only reads the names of these
  // folders.
  for (const name of names) await mkdir(join(folder, name));

  const creation: Comparison = {
    subject: `creating ${TAGS.toLocaleString('en')} tags, ${MAX_TAGS_PER_PUSH} to a push`,
    unit: 's',
    better: 'less',
    values: { terrace: [creationS] },
  };
  const subject = `listing ${TAGS.toLocaleString('en')} tags, ${PAGE.toLocaleString('en')} to a page`;
  const contenders = Object.entries({ terrace: layer.url, 'docker-registry': registry.url }).map(
    ([name, url]) => ({
      name,
      run: () =>
        timed(async () => {
          const found = await list(url);
          if (found < TAGS) throw new Error(`${name} listed ${found} tags`);
        }),
    }),
  );
  const listing: Comparison = {
    subject,
    unit: 's',
    better: 'less',
    values: await alternate(options, subject, contenders),
    notes: ['docker-registry 2.8 returns all of them at once, regardless of the requested page.'],
  };
  const pids = { ...layer.pids(), 'docker-registry': registry.pid! };
  return [creation, listing, ...(await residentAfter('lists of tags', pids))];
};

/** Pushes the same manifest repeatedly, each time with some of the tags. */
export async function createTags(
  url: string,
  repository: string,
  digest: string,
  names: readonly string[],
): Promise<void> {
  const path = `${url}/v2/${repository}/manifests/${digest}`;
  const headers = { 'Content-Type': mediaTypes.ociManifest };
  const body = Buffer.from(
    await (await fetch(path, { headers: { Accept: mediaTypes.ociManifest } })).arrayBuffer(),
  );
  for (let first = 0; first < names.length; first += MAX_TAGS_PER_PUSH) {
    const query = new URLSearchParams(
      names.slice(first, first + MAX_TAGS_PER_PUSH).map((name) => ['tag', name] as [string, string]),
    );
    const response = await fetch(`${path}?${query}`, { method: 'PUT', headers, body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }
}

/** Follows the pages. @returns the number of tags in them */
async function list(url: string): Promise<number> {
  let count = 0;
  for (let next: string | undefined = `/v2/${REPOSITORY}/tags/list?n=${PAGE}`; next; ) {
    const response: Response = await fetch(new URL(next, url));
    count += ((await response.json()) as { tags: string[] }).tags.length;
    next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return count;
}
