import type { KnownTag } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';

type Records = Pick<MetadataReader, 'base' | 'sending'>;

/** Whether base and record of the tag are still as a pass knows them; undefined: it relies on neither. */
export async function isKnown(
  metadata: Records,
  repository: string,
  tag: string,
  known: KnownTag | undefined,
): Promise<boolean> {
  if (!known) return true;
  const [base, record] = [await metadata.base(repository, tag), await metadata.sending(repository, tag)];
  return (base ?? null) === known.base && record?.digest === known.sending;
}

/** @throws Fault `conflict` unless it is */
export async function mustBeKnown(
  metadata: Records,
  repository: string,
  tag: string,
  known: KnownTag | undefined,
): Promise<void> {
  if (await isKnown(metadata, repository, tag, known)) return;
  throw new Fault(
    'conflict',
    `tag ${tag} of repository ${repository} was sent to the parent meanwhile: the next pass decides again`,
    { detail: { overtaken: true } },
  );
}
