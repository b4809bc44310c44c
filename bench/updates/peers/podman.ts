import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { timed } from '../../measure.ts';
import type { Version } from '../kinds/kind.ts';
import { repositoryOf } from '../pairs.ts';
import { run } from '../run-program.ts';
import type { Peer } from './peer.ts';

/**
 * `podman pull` of layers in zstd:chunked, with partial pulls, which only the driver overlay has: of files that the
 * store has, nothing is fetched. The images are in its store afterwards; the layers as they were pushed are not.
 */
export const podmanPull: Peer = {
  name: 'podman',
  takes: ({ builder }) => builder === 'podman-zstd-chunked',
  update: async (source, pair, folder, openLink) => {
    await using link = await openLink(source);
    const configuration = join(folder, 'storage.conf');
    await writeFile(
      configuration,
      `[storage]
driver = "overlay"
graphroot = "${join(folder, 'store')}"
runroot = "${join(folder, 'run')}"
[storage.options]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}
[storage.options.overlay]
skip_mount_home = "true"
`,
    );
    const env = { ...process.env, CONTAINERS_STORAGE_CONF: configuration };
    const pull = (version: Version) => {
      const image = `${link.host}/${repositoryOf(pair)}:${version}`;
      return run('podman', ['pull', '--quiet', '--tls-verify=false', image], { env });
    };
    await pull('v1');
    await link.limit();
    let seconds = 0;
    const bytes = await link.bytesOf(async () => {
      seconds = await timed(() => pull('v2'));
    });
    return { bytes, seconds };
  },
};
