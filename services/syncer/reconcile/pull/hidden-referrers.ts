import { leftOutItem } from '../context/leave-out.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

/**
 * Records that no list of referrers of the repository can be read. That they may be asked for again does not show that
 * one can: the record stays until a comparison of everything has read them.
 */
export function noteHiddenReferrers(
  { parent, leftOut }: Pick<PassContext, 'parent' | 'leftOut'>,
  { repository, selected, parentTags }: Pick<Survey, 'repository' | 'selected' | 'parentTags'>,
): void {
  const hidden = selected.referrers === false ? undefined : parent.hiddenReferrers(repository);
  if (hidden)
    leftOut.replace({ repository, digest: '' }, [leftOutItem('referrers', hidden)], Math.max(1, parentTags));
}
