import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { serviceNames } from '#proto/contract/users.ts';
import { NODE_ENV, NODE_FLAGS } from './data/node.ts';

/** Compiles all programs into the compile cache, so that not even the first start of a layer has to. */

const programs = [
  ['services/compact.ts'],
  ...serviceNames.map((name) => [`services/${name}/main.ts`]),
  ['cli/terrace.ts', '--help'],
];
for (const [file = '', ...parameters] of programs) {
  // Without its settings a service ends at once; by then all of it is compiled.
  spawnSync(process.execPath, [...NODE_FLAGS, join(import.meta.dirname, '..', file), ...parameters], {
    env: NODE_ENV,
    stdio: 'ignore',
    timeout: 30_000,
  });
}
