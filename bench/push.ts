import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { testLayer } from '../test/support/layer.ts';
import { type Cloud, startCloud } from '../test/support/registry/cloud.ts';
import { upload, uploadSmall } from './curl.ts';
import { alternate, type Comparison, type Options, roundsFor, type Subject, timed } from './measure.ts';
import { residentAfter } from './resident.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'bench/push';
/** Max size, in MiB, of a blob whose push takes less time than the start of a client. */
const MAX_SMALL_MIB = 16;

/** Rate of pushes of blobs of several sizes, from the first request until the registry acknowledges the blob. */
export const push: Subject = async (options) => {
  await using folder = await TemporaryFolder.create();
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
  folder: TemporaryFolder,
  layerHost: string,
  registry: Cloud,
): Promise<Comparison> {
  const size = mib * MIB;
  const file = join(folder.path, 'blob');
  const subject = `push of a ${mib} MiB blob`;
  const times = mib > MAX_SMALL_MIB ? 1 : 10;
  /** Pushes content that no contender has stored yet. @returns MB/s */
  const rate = async (name: string, round: number, work: (digest: string) => Promise<unknown>) => {
    let seconds = 0;
    for (let time = 0; time < times; time += 1) {
      const digest = await folder.write('blob', { seed: `${name} ${mib} ${round} ${time}`, size });
      const bytes = mib > MAX_SMALL_MIB ? undefined : await readFile(file);
      sent = bytes;
      seconds += await timed(() => work(digest));
    }
    return (times * size) / 1e6 / seconds;
  };
  let sent: Uint8Array | undefined;
  const send = (host: string, digest: string) =>
    sent ? uploadSmall(host, REPOSITORY, sent, digest) : upload(host, REPOSITORY, file, digest);
  const contenders = [
    { name: 'terrace', run: (round: number) => rate('t', round, (digest) => send(layerHost, digest)) },
    {
      name: 'docker-registry',
      run: (round: number) => rate('d', round, (digest) => send(registry.host, digest)),
    },
    {
      name: 'docker-registry, then fsync',
      run: (round: number) =>
        rate('f', round, async (digest) => {
          await send(registry.host, digest);
          await syncToDisk(registry, digest);
        }),
    },
  ];
  const rounds = roundsFor(mib, options);
  const values = await alternate({ ...options, rounds }, subject, contenders);
  await rm(file);
  const notes = [
    'A layer answers when the bytes are on the disk; docker-registry answers before, and can lose them when the',
    'power fails. The last row adds the one fsync of the blob that it leaves out.',
  ];
  return { subject, unit: 'MB/s', better: 'more', values, notes };
}

async function syncToDisk(registry: Cloud, digest: string): Promise<void> {
  const hex = digest.slice('sha256:'.length);
  const blobs = 'registry/docker/registry/v2/blobs/sha256';
  const path = join(registry.folder, blobs, hex.slice(0, 2), hex, 'data');
  await using file = await open(path, 'r');
  await file.sync();
}
