import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cloud, startCloud } from '../test/support/cloud.ts';
import { testLayer } from '../test/support/layer.ts';
import { upload } from './curl.ts';
import { alternate, type Subject, timed } from './measure.ts';
import { Folder } from './stage.ts';

const MIB = 1024 * 1024;

/** How fast a blob comes in, from the first request until the registry says that it has it. */
export const push: Subject = async (options) => {
  await using folder = await Folder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  const size = options.mib * MIB;
  const file = join(folder.path, 'blob');
  const subject = `push of a ${options.mib} MiB blob`;
  /** Content that no contender has seen. */
  const speed = async (name: string, round: number, work: (digest: string) => Promise<unknown>) => {
    const digest = await folder.write('blob', { seed: `${name} ${round}`, size });
    return size / 1e6 / (await timed(() => work(digest)));
  };
  const to = (host: string, digest: string) => upload(host, 'bench/push', file, digest);
  const contenders = [
    { name: 'terrace', run: (round: number) => speed('t', round, (digest) => to(layer.host, digest)) },
    {
      name: 'docker-registry',
      run: (round: number) => speed('d', round, (digest) => to(registry.host, digest)),
    },
    {
      name: 'docker-registry, then fsync',
      run: (round: number) =>
        speed('f', round, async (digest) => {
          await to(registry.host, digest);
          await bringToDisk(registry, digest);
        }),
    },
  ];
  const values = await alternate(options, subject, contenders);
  await rm(file);
  const notes = [
    'A layer answers when the bytes are on the disk; docker-registry answers before, and can lose them when the',
    'power goes. The last row adds the one fsync of the blob that it leaves out.',
  ];
  return [{ subject, unit: 'MB/s', better: 'more', values, notes }];
};

async function bringToDisk(registry: Cloud, digest: string): Promise<void> {
  const hex = digest.slice('sha256:'.length);
  const blobs = 'registry/docker/registry/v2/blobs/sha256';
  const path = join(registry.folder, blobs, hex.slice(0, 2), hex, 'data');
  await using file = await open(path, 'r');
  await file.sync();
}
