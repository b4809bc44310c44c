import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { serviceNames } from '#proto/contract/users.ts';
import { NODE_ENV, NODE_FLAGS } from './data/node.ts';

/** Fills the compile cache with every program, so that even the first start of a layer compiles nothing. */

const programs = [
  ['services/compact.ts'],
  ...serviceNames.map((name) => [`services/${name}/main.ts`]),
  ['cli/terrace.ts', '--help'],
];
for (const [file = '', ...parameters] of programs) {
  // Without settings a service exits at once, after all of its code was compiled.
  spawnSync(process.execPath, [...NODE_FLAGS, join(import.meta.dirname, '..', file), ...parameters], {
    env: NODE_ENV,
    stdio: 'ignore',
    timeout: 30_000,
  });
}
