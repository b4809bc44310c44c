import { join } from 'node:path';
import { startCloud } from '../../../test/support/registry/cloud.ts';
import { timed } from '../../measure.ts';
import type { Version } from '../kinds/kind.ts';
import { repositoryOf } from '../pairs.ts';
import { run } from '../run-program.ts';
import type { Peer } from './peer.ts';

/** `skopeo sync` into a docker-registry that has the old image: it fetches the layers that are missing there. */
export const skopeoSync: Peer = {
  name: 'skopeo',
  takes: () => true,
  update: async (source, pair, folder, openLink) => {
    await using target = await startCloud({ folder: join(folder, 'registry') });
    await using link = await openLink(source);
    const options = [
      '--src',
      'docker',
      '--dest',
      'docker',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
    ];
    const sync = (version: Version) =>
      run('skopeo', [
        'sync',
        ...options,
        `${link.host}/${repositoryOf(pair)}:${version}`,
        `${target.host}/${pair.kind}`,
      ]);
    await sync('v1');
    await link.limit();
    let seconds = 0;
    const bytes = await link.bytesOf(async () => {
      seconds = await timed(() => sync('v2'));
    });
    return { bytes, seconds };
  },
};
