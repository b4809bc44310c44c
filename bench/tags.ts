import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';
import { residentAfter } from './resident.ts';

const TAGS = 100_000;
/** As many as one push may give. */
const AT_ONCE = 100;
const PAGE = 1_000;
const REPOSITORY = 'bench/tags';

/** A repository with very many tags: how long they take to make, and to list, page by page. */
export const tags: Subject = async (options) => {
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  const { digest } = await pushImage(layer.host, REPOSITORY, undefined, { layers: [100] });
  await pushImage(registry.host, REPOSITORY, '0', { layers: [100] });
  const names = Array.from({ length: TAGS }, (_, n) => `tag-${String(n).padStart(6, '0')}`);

  options.progress(`tags: making ${TAGS}`);
  const made = await timed(() => give(layer.url, digest, names));
  const folder = join(
    registry.folder,
    `registry/docker/registry/v2/repositories/${REPOSITORY}/_manifests/tags`,
  );
  // It gives one tag for each push, which takes minutes; and to list them it looks at the names of these folders only.
  for (const name of names) await mkdir(join(folder, name));

  const making: Comparison = {
    subject: `making ${TAGS.toLocaleString('en')} tags, ${AT_ONCE} to a push`,
    unit: 's',
    better: 'less',
    values: { terrace: [made] },
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
    notes: ['docker-registry 2.8 answers all of them at once, whatever page is asked for.'],
  };
  const pids = { ...layer.pids(), 'docker-registry': registry.pid! };
  return [making, listing, ...(await residentAfter('lists of tags', pids))];
};

/** Pushes the same manifest again and again, each time with some of the tags. */
async function give(url: string, digest: string, names: readonly string[]): Promise<void> {
  const path = `${url}/v2/${REPOSITORY}/manifests/${digest}`;
  const headers = { 'Content-Type': mediaTypes.ociManifest };
  const body = Buffer.from(
    await (await fetch(path, { headers: { Accept: mediaTypes.ociManifest } })).arrayBuffer(),
  );
  for (let first = 0; first < names.length; first += AT_ONCE) {
    const query = new URLSearchParams(
      names.slice(first, first + AT_ONCE).map((name) => ['tag', name] as [string, string]),
    );
    const answer = await fetch(`${path}?${query}`, { method: 'PUT', headers, body });
    if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}

/** Follows the pages. @returns how many tags are in them */
async function list(url: string): Promise<number> {
  let count = 0;
  for (let next: string | undefined = `/v2/${REPOSITORY}/tags/list?n=${PAGE}`; next; ) {
    const answer: Response = await fetch(new URL(next, url));
    count += ((await answer.json()) as { tags: string[] }).tags.length;
    next = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  return count;
}
