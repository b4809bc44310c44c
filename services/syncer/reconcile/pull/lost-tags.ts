import { imageIncomplete, MAX_LISTED_LEFT_OUT } from '#proto/sync/left-out.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

/** Records tags that the parent lists and that can't be here. Only the first ones get an event each. */
export function noteLostTags({ bus, pass, leftOut }: PassContext, { repository, lost }: Survey): void {
  let events = 0;
  for (const { name, item } of lost) {
    if (!leftOut.replace({ repository, digest: '', tag: name }, [item])) continue;
    events += 1;
    if (events > MAX_LISTED_LEFT_OUT) continue;
    bus.publish(imageIncomplete, { pass, repository, tag: name, count: 1, leftOut: [item] });
  }
}
