import type { Space } from '#proto/content/maintenance.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { RESERVE, spaceOf } from '#proto/volume/space.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

/** Free space of the data volume, against the reserve and against what is still to come. */

export async function checkDisk({ folder, configuration, status }: Subject): Promise<Verdict> {
  const space = await spaceOf(folder.root, configuration?.reserve ?? RESERVE);
  return diskVerdict(space, status?.sync?.behind.bytes ?? 0);
}

/** @param missing bytes that the parent has and the layer does not have yet. Pure. */
export function diskVerdict({ free, reserve, inodes }: Space, missing: number): Verdict {
  const findings: Finding[] = [];
  const remedy = 'free space, or enlarge the volume: docs/operating/full-disk.md';
  if (free < reserve) {
    const what = `${formatBytes(free)} are free, less than the reserve of ${formatBytes(reserve)}: new content is rejected`;
    findings.push(fault(what, remedy));
  } else if (missing > free - reserve) {
    const what = `${formatBytes(missing)} are still to come from the parent, and ${formatBytes(free - reserve)} are free above the reserve`;
    findings.push(warning(what, `${remedy}; or select less`));
  }
  if (inodes && inodes.free < inodes.reserve) {
    const what = `${inodes.free} more files (inodes) can be created, fewer than the reserve of ${inodes.reserve}: new content is rejected`;
    findings.push(fault(what, 'delete files, or make the file system again with more inodes'));
  }
  const files = inodes ? `; room for ${inodes.free} files` : '';
  return { about: `${formatBytes(free)} free, reserve ${formatBytes(reserve)}${files}`, findings };
}
