import { passFinished } from '#proto/sync/passes.ts';
import { testLayer } from '../test/support/layer.ts';
import { Clients } from '../test/support/registry/clients.ts';
import { Cloud, startCloud } from '../test/support/registry/cloud.ts';
import { firstDifference, tagsOf } from '../test/support/registry/image.ts';
import { fullSizes, pushRealImages } from '../test/support/registry/real-images.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const sets = [
  {
    content: 'a 60-layer image, a two-platform image, an artifact',
    repositories: ['debian/layered', 'debian/shell'],
  },
  { content: 'an image of one large layer', repositories: ['data/large'] },
];

/** A set of images from a docker-registry into an empty layer, and by skopeo into an empty docker-registry. */
export const sync: Subject = async (options) => {
  await using source = await startCloud();
  options.progress('sync: building the images');
  await pushRealImages(source, options.full ? fullSizes : { largeLayer: 64 * 1024 * 1024 });
  const comparisons: Comparison[] = [];
  for (const { content, repositories } of sets) {
    const subject = `sync of ${content}`;
    const contenders = [
      { name: 'terrace', run: () => syncByLayer(source, repositories) },
      { name: 'skopeo sync', run: () => syncBySkopeo(source, repositories) },
    ];
    const values = await alternate(options, subject, contenders);
    comparisons.push({ subject, unit: 's', better: 'less', values, notes });
  }
  return comparisons;
};

const notes = [
  'Of the layer, the duration that its pass reports; of skopeo, from start to exit. A layer syncs the content to disk;',
  'skopeo into docker-registry does not.',
];

/** Runs the first pass of an empty layer and compares its content. @returns the duration of the pass, in s */
export async function syncByLayer(
  source: Cloud,
  repositories: string[],
  parent = source.url,
  withinMs = 120_000,
): Promise<number> {
  await using layer = await testLayer({ name: 'bench', parent, repositories, logLevel: 'warn' });
  const { ok, ms, failures } = await layer.event(passFinished, ({ taken }) => taken > 0, withinMs);
  if (!ok) throw new Error(`the pass failed: ${JSON.stringify(failures)}`);
  const difference = await firstDifference(source.host, layer.host, repositories);
  if (difference) throw new Error(difference);
  return ms / 1_000;
}

/**
 * Copies into an empty docker-registry and compares its tags.
 * @param withinS time after which skopeo is stopped, in s
 * @returns the duration of skopeo, in s; infinite if it was stopped
 */
export async function syncBySkopeo(
  source: Cloud,
  repositories: string[],
  parent = source.host,
  withinS?: number,
): Promise<number> {
  await using clients = await Clients.create();
  await using folder = await TemporaryFolder.create();
  await using target = new Cloud(folder.path, {});
  await target.start();
  const limit = withinS === undefined ? [] : ['--command-timeout', `${Math.ceil(withinS)}s`];
  const options = [
    '--all',
    '--src',
    'docker',
    '--dest',
    'docker',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
  ];
  let isStopped = false;
  const seconds = await timed(async () => {
    for (const repository of repositories) {
      const prefix = repository.slice(0, repository.lastIndexOf('/'));
      const names = [`${parent}/${repository}`, `${target.host}/${prefix}`];
      const begun = performance.now();
      await clients.skopeo(...limit, 'sync', ...options, ...names).catch((error) => {
        isStopped = withinS !== undefined && performance.now() - begun >= withinS * 1_000;
        if (!isStopped) throw error;
      });
    }
  });
  if (isStopped) return Number.POSITIVE_INFINITY;
  await mustHaveTags(source.host, target.host, repositories);
  return seconds;
}

/** @throws Error if the target lacks a tag of the source, or has another one */
export async function mustHaveTags(
  source: string,
  target: string,
  repositories: readonly string[],
): Promise<void> {
  for (const repository of repositories) {
    const [expected, copied] = [await tagsOf(source, repository), await tagsOf(target, repository)];
    if (String(expected) !== String(copied)) throw new Error(`only ${copied} of ${expected} were copied`);
  }
}
