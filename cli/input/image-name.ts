import { isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { Refusal } from '../terminal/refusal.ts';

export type ImageName = { repository: string; reference: string };

/** @throws Refusal */
export function repositoryArgument(text: string): string {
  if (isRepository(text)) return text;
  throw new Refusal(
    `"${text}" is not the name of a repository: write it as terrace repositories lists it, without a registry, tag or digest`,
    2,
  );
}

/** `repository:tag` or `repository@digest`. @throws Refusal */
export function imageArgument(text: string): ImageName {
  const { repository, reference } = split(text);
  if (isRepository(repository) && reference !== undefined && (isTag(reference) || isDigest(reference)))
    return { repository, reference };
  throw new Refusal(`"${text}" is not the name of an image: write REPOSITORY:TAG or REPOSITORY@DIGEST`, 2);
}

/** A repository, or one of its tags or digests. @throws Refusal */
export function changeArgument(text: string): { repository: string; reference?: string } {
  const { repository, reference } = split(text);
  if (isRepository(repository) && (reference === undefined || isTag(reference) || isDigest(reference)))
    return { repository, ...(reference !== undefined && { reference }) };
  throw new Refusal(`"${text}" names nothing: write REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST`, 2);
}

function split(text: string): { repository: string; reference: string | undefined } {
  const at = text.indexOf('@');
  const end = at >= 0 ? at : text.lastIndexOf(':');
  // A colon before a slash belongs to the port of a registry.
  if (end < 0 || text.includes('/', end)) return { repository: text, reference: undefined };
  return { repository: text.slice(0, end), reference: text.slice(end + 1) };
}
