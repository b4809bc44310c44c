import { Fault } from '#proto/contract/fault.ts';
import { imageIncomplete } from '#proto/sync/left-out.ts';
import { leftOutItem } from '../context/leave-out.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

/** Records tags without a manifest. One that was deleted since it was listed is gone from the next pass's list. */
export function noteLostTags({ bus, pass, leftOut }: PassContext, { repository, lost }: Survey): void {
  for (const tag of lost) {
    const fault = new Fault(
      'manifest-unknown',
      `the parent lists ${repository}:${tag} and has no manifest for it`,
    );
    const items = [leftOutItem('tag', fault)];
    if (leftOut.replace({ repository, digest: '', tag }, items))
      bus.publish(imageIncomplete, { pass, repository, tag, count: 1, leftOut: items });
  }
}
