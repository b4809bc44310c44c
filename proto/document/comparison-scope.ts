import { createHash } from 'node:crypto';
import type { Configuration } from './configuration.ts';

/**
 * Hash of the parent and of every setting that decides what is exchanged with it, as 64 hexadecimal digits: what was
 * compared with another one says nothing about the present one.
 */
export const comparisonScope = ({
  parent,
  repositories,
  mode,
}: Pick<Configuration, 'parent' | 'repositories' | 'mode'>): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        parent?.url,
        parent?.username,
        repositories,
        mode,
        ...(parent?.azure ? [parent.azure] : []),
      ]),
    )
    .digest('hex');
