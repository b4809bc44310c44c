import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository, Tag } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import { leftOutItem } from '../context/leave-out.ts';

/** Tags that the parent lists, and that can't be here. Pure. */

/** `name` is that of the tag, as it can be shown: it need not be a valid one. */
export type LostTag = { name: string; item: LeftOutItem };

/** Max length of a name that is shown, in characters. */
const MAX_NAME = 100;

/** A tag without a manifest. One that was deleted since it was listed is gone from the next pass's list. */
export function tagWithoutManifest(repository: Repository, tag: Tag): LostTag {
  const why = `the parent lists ${repository}:${tag} and has no manifest for it`;
  return { name: tag, item: leftOutItem('tag', new Fault('manifest-unknown', why)) };
}

/** A tag about another manifest, such as a list of its referrers, that the parent refuses. */
export const refusedReferrers = (tag: Tag, fault: Fault): LostTag => ({
  name: tag,
  item: leftOutItem('referrers', fault),
});

/** A tag whose name no registry may give (distribution-spec, "Pulling manifests"). */
export function tagWithInvalidName(tag: string): LostTag {
  const why = `the parent lists the tag ${JSON.stringify(shown(tag))}, which is no valid name: use letters, digits and . _ - only, 128 characters at most`;
  const fault = new Fault('manifest-invalid', why, { detail: { hasRemedy: true } });
  return { name: shown(tag) || '(empty)', item: leftOutItem('tag', fault) };
}

/** On one line, without the control characters that a terminal would obey. */
export const shown = (name: string): string => clip(name.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' '), MAX_NAME);
