import { join } from 'node:path';
import { type TestLayerOptions, testLayer } from '../../../test/support/layer.ts';
import { getManifest, pushImage } from '../../../test/support/registry/image.ts';
import { timed } from '../../measure.ts';
import type { Version } from '../kinds/kind.ts';
import { type Pair, repositoryOf } from '../pairs.ts';
import { run } from '../run-program.ts';
import type { Peer } from './peer.ts';

type DeltaMode = NonNullable<NonNullable<TestLayerOptions['delta']>['mode']>;

/** Brought over a limited link before the update, so that the layer knows its rate. */
const SAMPLE = 'sample/noise';
const SAMPLE_S = 6;

/** A layer below another one, which gets the pair; the time is that from the end of the push. */
export const terraceWith = (name: string, mode: DeltaMode): Peer => ({
  name,
  takes: () => true,
  update: async (source, pair, folder, openLink) => {
    const options = { delta: { mode }, logLevel: 'warn' as const };
    await using parent = await testLayer({ ...options, name: 'top', data: join(folder, 'top') });
    await using link = await openLink(parent.host);
    await using child = await testLayer({
      ...options,
      name: 'bottom',
      data: join(folder, 'bottom'),
      parent: `http://${link.host}`,
      repositories: [repositoryOf(pair), SAMPLE],
    });
    const sync = async (version: Version) => {
      const { ok, failures } = await child.sync();
      if (!ok) throw new Error(`the pass failed: ${JSON.stringify(failures)}`);
      await mustHave(child.host, pair, version);
    };
    await push(source, parent.host, pair, 'v1');
    await sync('v1');
    const rate = await link.limit();
    if (rate !== undefined) await pushImage(parent.url, SAMPLE, 'v1', { layers: [rate * SAMPLE_S] });
    // Its connections are those of the limited link.
    await sync('v1');
    let seconds = 0;
    // The child may begin while the parent still receives the image.
    const bytes = await link.bytesOf(async () => {
      await push(source, parent.host, pair, 'v2');
      seconds = await timed(() => sync('v2'));
    });
    return { bytes, seconds };
  },
});

/** Pushes one image of the pair, byte for byte. */
async function push(source: string, target: string, pair: Pair, version: Version): Promise<void> {
  const name = `${repositoryOf(pair)}:${version}`;
  const options = ['--src-tls-verify=false', '--dest-tls-verify=false', '--preserve-digests', '--quiet'];
  await run('skopeo', ['copy', ...options, `docker://${source}/${name}`, `docker://${target}/${name}`]);
}

/** @throws Error if the layer has not exactly the image that was pushed */
async function mustHave(host: string, pair: Pair, version: Version): Promise<void> {
  const manifest = await getManifest(host, repositoryOf(pair), version);
  if (manifest?.digest !== pair.images[version].digest)
    throw new Error(`${repositoryOf(pair)}:${version} is not there as it was pushed`);
}
