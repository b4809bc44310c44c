import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { testLayer } from '../test/support/layer.ts';
import { type Cloud, startCloud } from '../test/support/registry/cloud.ts';
import { upload, uploadSmall } from './curl.ts';
import { alternate, type Comparison, type Options, roundsFor, type Subject, timed } from './measure.ts';
import { residentAfter } from './resident.ts';
import { Folder } from './stage.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'bench/push';
/** Up to this size, starting a client takes longer than the push. */
const SMALL = 16;

/** How fast blobs of several sizes come in, from the first request until the registry says that it has one. */
export const push: Subject = async (options) => {
  await using folder = await Folder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  const comparisons: Comparison[] = [];
  for (const mib of options.mib) comparisons.push(await compare(options, mib, folder, layer.host, registry));
  const pids = { ...layer.pids(), 'docker-registry': registry.pid! };
  return [...comparisons, ...(await residentAfter('pushes', pids))];
};

async function compare(
  options: Options,
  mib: number,
  folder: Folder,
  own: string,
  registry: Cloud,
): Promise<Comparison> {
  const size = mib * MIB;
  const file = join(folder.path, 'blob');
  const subject = `push of a ${mib} MiB blob`;
  const times = mib > SMALL ? 1 : 10;
  /** Content that no contender has seen. */
  const speed = async (name: string, round: number, work: (digest: string) => Promise<unknown>) => {
    let seconds = 0;
    for (let time = 0; time < times; time += 1) {
      const digest = await folder.write('blob', { seed: `${name} ${mib} ${round} ${time}`, size });
      const bytes = mib > SMALL ? undefined : await readFile(file);
      sent = bytes;
      seconds += await timed(() => work(digest));
    }
    return (times * size) / 1e6 / seconds;
  };
  let sent: Uint8Array | undefined;
  const to = (host: string, digest: string) =>
    sent ? uploadSmall(host, REPOSITORY, sent, digest) : upload(host, REPOSITORY, file, digest);
  const contenders = [
    { name: 'terrace', run: (round: number) => speed('t', round, (digest) => to(own, digest)) },
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
  const rounds = roundsFor(mib, options);
  const values = await alternate({ ...options, rounds }, subject, contenders);
  await rm(file);
  const notes = [
    'A layer answers when the bytes are on the disk; docker-registry answers before, and can lose them when the',
    'power goes. The last row adds the one fsync of the blob that it leaves out.',
  ];
  return { subject, unit: 'MB/s', better: 'more', values, notes };
}

async function bringToDisk(registry: Cloud, digest: string): Promise<void> {
  const hex = digest.slice('sha256:'.length);
  const blobs = 'registry/docker/registry/v2/blobs/sha256';
  const path = join(registry.folder, blobs, hex.slice(0, 2), hex, 'data');
  await using file = await open(path, 'r');
  await file.sync();
}
