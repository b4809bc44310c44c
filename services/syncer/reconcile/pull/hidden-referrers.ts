import { EVERY_MANIFEST } from '#proto/content/left-out-referrers.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { ReferrerList } from '../../link/parent/referrers-api.ts';
import { leftOutAbove, leftOutItem } from '../context/leave-out.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

type Noting = Pick<PassContext, 'parent' | 'hiddenReferrers' | 'leftOut' | 'leftOutRecords'>;

/**
 * To be called where a list of referrers could not be read, or is not requested because they are hidden. That may end
 * while the pass runs: then only this record shows that images lack theirs.
 * @returns whether the parent's lists of the repository are known to be hidden
 */
export function rememberIfHidden(
  { parent, hiddenReferrers }: Pick<Noting, 'parent' | 'hiddenReferrers'>,
  repository: Repository,
): boolean {
  const fault = parent.hiddenReferrers(repository);
  if (fault) hiddenReferrers.set(repository, leftOutItem('referrers', fault));
  return fault !== undefined;
}

/**
 * Reports that lists of referrers of the repository can't be read, or could not be during the pass. That they may be
 * asked for again does not show that one can: the report stays until a comparison of all images has read them all.
 * @param isComplete whether the pass has compared all images of the repository, and carried it out
 */
export async function noteHiddenReferrers(
  { parent, hiddenReferrers, leftOut, leftOutRecords }: Noting,
  { repository, selected, parentTags }: Pick<Survey, 'repository' | 'selected' | 'parentTags'>,
  isComplete: boolean,
): Promise<void> {
  const hidden =
    selected.referrers === false
      ? undefined
      : (whyHidden(parent, repository) ?? hiddenReferrers.get(repository));
  const every = { repository, digest: '' };
  if (hidden) {
    leftOut.replace(every, [hidden], Math.max(1, parentTags));
    await recordHidden(leftOutRecords, repository, hidden);
  } else if (isComplete) leftOut.replace(every, []);
}

/**
 * Records which referrers an image lacks. To be called before its tag moves: a layer below that sees the tag learns
 * with it what the image lacks.
 */
export async function recordLeftOutReferrers(
  { parent, hiddenReferrers, leftOutRecords }: Noting,
  repository: Repository,
  subjects: readonly Digest[],
  problems: readonly LeftOutItem[],
): Promise<void> {
  if (subjects.length === 0) return;
  await leftOutRecords.replace(repository, subjects, problems);
  const hidden = whyHidden(parent, repository) ?? hiddenReferrers.get(repository);
  if (hidden) await recordHidden(leftOutRecords, repository, hidden);
}

export const hiddenAbove = (why: NonNullable<ReferrerList['hidden']>): LeftOutItem =>
  leftOutAbove({ kind: 'referrers', ...why });

function whyHidden(parent: Noting['parent'], repository: Repository): LeftOutItem | undefined {
  const fault = parent.hiddenReferrers(repository);
  if (fault) return leftOutItem('referrers', fault);
  const above = parent.hiddenReferrersAbove(repository);
  return above && hiddenAbove(above);
}

const recordHidden = (records: Noting['leftOutRecords'], repository: Repository, hidden: LeftOutItem) =>
  records.replace(repository, [EVERY_MANIFEST], [{ ...hidden, subject: EVERY_MANIFEST }]);
