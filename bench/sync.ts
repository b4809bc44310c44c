import { passFinished } from '#proto/sync/passes.ts';
import { testLayer } from '../test/support/layer.ts';
import { Clients } from '../test/support/registry/clients.ts';
import { Cloud, startCloud } from '../test/support/registry/cloud.ts';
import { sameContent, tagsOf } from '../test/support/registry/image.ts';
import { fullSizes, pushRealImages } from '../test/support/registry/real-images.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';
import { Folder } from './stage.ts';

const sets = [
  {
    what: 'a 60-layer image, a two-platform image, an artifact',
    repositories: ['debian/layered', 'debian/shell'],
  },
  { what: 'an image of one large layer', repositories: ['data/large'] },
];

/** A set of images from a docker-registry into an empty layer, and by skopeo into an empty docker-registry. */
export const sync: Subject = async (options) => {
  await using source = await startCloud();
  options.progress('sync: building the images');
  await pushRealImages(source, options.full ? fullSizes : { largeLayer: 64 * 1024 * 1024 });
  const comparisons: Comparison[] = [];
  for (const { what, repositories } of sets) {
    const subject = `sync of ${what}`;
    const contenders = [
      { name: 'terrace', run: () => byLayer(source, repositories) },
      { name: 'skopeo sync', run: () => bySkopeo(source, repositories) },
    ];
    const values = await alternate(options, subject, contenders);
    comparisons.push({ subject, unit: 's', better: 'less', values, notes });
  }
  return comparisons;
};

const notes = [
  'The layer by the clock of its pass, skopeo from its start to its end. A layer brings what it took to the disk;',
  'skopeo into docker-registry does not.',
];

/** The first pass of a layer that has nothing, by its own clock; then what it has is compared. */
export async function byLayer(source: Cloud, repositories: string[], parent = source.url): Promise<number> {
  await using layer = await testLayer({ name: 'bench', parent, repositories, logLevel: 'warn' });
  const { ok, ms, failures } = await layer.event(passFinished, ({ taken }) => taken > 0, 120_000);
  if (!ok) throw new Error(`the pass failed: ${JSON.stringify(failures)}`);
  const difference = await sameContent(source.host, layer.host, repositories);
  if (difference) throw new Error(difference);
  return ms / 1_000;
}

export async function bySkopeo(source: Cloud, repositories: string[], parent = source.host): Promise<number> {
  await using clients = await Clients.create();
  await using folder = await Folder.create();
  await using target = new Cloud(folder.path, {});
  await target.start();
  const options = [
    '--all',
    '--src',
    'docker',
    '--dest',
    'docker',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
  ];
  const seconds = await timed(async () => {
    for (const repository of repositories) {
      const prefix = repository.slice(0, repository.lastIndexOf('/'));
      await clients.skopeo('sync', ...options, `${parent}/${repository}`, `${target.host}/${prefix}`);
    }
  });
  for (const repository of repositories) {
    const [here, there] = [await tagsOf(source.host, repository), await tagsOf(target.host, repository)];
    if (String(here) !== String(there)) throw new Error(`skopeo brought ${there} of ${here}`);
  }
  return seconds;
}
