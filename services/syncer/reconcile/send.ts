import type { Configuration } from '#proto/configuration.ts';
import type { Digest, Repository, Tag } from '#proto/names.ts';
import type { Upward } from '../link/upward.ts';
import type { BringMeans } from './bring.ts';

export type SendMeans = BringMeans & {
  upward: Upward;
  /** What is not selected is not the layer's to speak of, at the parent. */
  configuration: Pick<Configuration, 'repositories'>;
};

export async function send(
  _means: SendMeans,
  _repository: Repository,
  _digest: Digest,
  _move?: { tag: Tag; expect: Digest | undefined },
): Promise<boolean> {
  throw new Error('not yet');
}
