import type { Layer } from '#proto/api/layer.ts';
import { bytesText, durationText, percentOf, plural } from '../format/quantities.ts';

/** What deltas saved and take, in a sentence each; none while there is nothing to say. Pure. */
export function savingsTexts({ savings, deltas }: Layer, now: number): string[] {
  const texts: string[] = [];
  if (savings && savings.transfers > 0) {
    const { saved, crossed, transfers, since, cpuMs } = savings;
    const share = percentOf(saved, saved + crossed);
    texts.push(
      `Deltas saved ${bytesText(saved)} of ${bytesText(saved + crossed)} (${share} %) in ${plural(transfers, 'transfer')} since ${durationText(now - since)}, with ${durationText(cpuMs)} of processor time`,
    );
  }
  if (deltas && deltas.count > 0) {
    const limit = deltas.limit === undefined ? '' : ` of ${bytesText(deltas.limit)}`;
    texts.push(
      `${plural(deltas.count, 'delta')} kept for the layers below: ${bytesText(deltas.bytes)}${limit}`,
    );
  }
  return texts;
}
