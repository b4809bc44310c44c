import type { Digest, Repository, Tag } from '#proto/names.ts';
import type { SendMeans } from './send.ts';

export async function withdrawTag(
  _means: SendMeans,
  _repository: Repository,
  _tag: Tag,
  _condition: { expect: Digest; shared: boolean },
): Promise<void> {
  throw new Error('not yet');
}

export async function withdrawManifest(
  _means: SendMeans,
  _repository: Repository,
  _digest: Digest,
): Promise<void> {
  throw new Error('not yet');
}
