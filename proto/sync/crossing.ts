/** How many bytes of a blob cross the link: where a delta crosses instead of it, those of the delta. Pure. */

/** A transfer as events and states have it. `saved` once it is finished. */
export type Crossing = {
  size: number;
  delta?: { size: number } | undefined;
  saved?: { bytes: number } | undefined;
};

/** Bytes that cross the link until the blob is at the far end: the total of `done` while it is in transfer. */
export const crossingBytes = ({ size, delta, saved }: Crossing): number =>
  saved ? Math.max(0, size - saved.bytes) : (delta?.size ?? size);

/** Bytes of the blob that do not cross the link. */
export const savedBytes = (crossing: Crossing): number =>
  Math.max(0, crossing.size - crossingBytes(crossing));
