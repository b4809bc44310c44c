import { drop } from '../metadata/metadata.ts';
import type { Sweep } from './sweep.ts';

/**
 * Forgets uploads at the parent of what is not here any more: that of a blob ends with its link, but a delta has none.
 * The parent ends an upload that is idle for long by itself.
 */
export async function sweepSessions({ metadata, dryRun, signal }: Sweep): Promise<void> {
  if (dryRun) return;
  for await (const [name] of metadata.allSessions()) {
    signal.throwIfAborted();
    const [repository, digest] = name.split('!') as [string, string];
    const [[link], delta] = await Promise.all([
      metadata.linksByDigest(repository, [digest]),
      metadata.delta(digest),
    ]);
    if (!link && !delta) await metadata.writeUnsynced(drop.session(repository, digest));
  }
}
