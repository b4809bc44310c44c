import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { alternate, type Subject } from './measure.ts';
import { regsyncIntoOthers } from './other-registries.ts';
import { syncByLayer, syncBySkopeo } from './sync.ts';

const REPOSITORIES = 20;
const TAGS = 10;
const LAYERS = [100_000, 100_000, 100_000, 100_000];

/** A first pass of many images of small layers, against `skopeo sync`. */
export const images: Subject = async (options) => {
  await using source = await startCloud();
  const repositories = Array.from({ length: REPOSITORIES }, (_, i) => `small/images-${i}`);
  options.progress('images: pushing them to the parent');
  for (const repository of repositories)
    for (let tag = 0; tag < TAGS; tag += 1)
      await pushImage(source.host, repository, `v${tag}`, { layers: LAYERS });
  const subject = `sync of ${REPOSITORIES * TAGS} images of ${LAYERS.length} small layers`;
  const values = await alternate(options, subject, [
    { name: 'terrace', run: () => syncByLayer(source, repositories) },
    { name: 'skopeo sync', run: () => syncBySkopeo(source, repositories) },
    ...regsyncIntoOthers(source.host, repositories),
  ]);
  return [{ subject, unit: 's', better: 'less', values, notes }];
};

const notes = [
  'Of the layer, the duration that its first pass reports; of skopeo, from start to exit. A layer syncs the content to',
  'disk; skopeo into docker-registry does not.',
];
