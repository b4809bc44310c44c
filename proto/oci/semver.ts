import { createRequire } from 'node:module';
import type * as Semver from 'semver';

const require = createRequire(import.meta.url);
let loaded: typeof Semver | undefined;

/** The package of semantic versions. Loaded on demand: most layers select no tags by version. */
export function semver(): typeof Semver {
  loaded ??= require('semver') as typeof Semver;
  return loaded;
}
