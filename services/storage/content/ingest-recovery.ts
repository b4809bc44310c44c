import { isDigest } from '#proto/oci/names.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';
import type { Commits } from './commit.ts';
import { digestOfTransfer, type IngestFolders } from './ingest-folders.ts';
import type { OpenUploads } from './open-uploads.ts';

export type RecoveryDeps = {
  metadata: Metadata;
  commits: Commits;
  folders: IngestFolders;
  open: OpenUploads;
  now: () => number;
};

/** Matches folders and records after a start. Call before any request is served. */
export async function recoverIngests({ metadata, commits, folders, open, now }: RecoveryDeps): Promise<void> {
  const { afterReboot } = metadata;
  const unmatched = new Set(await folders.all());
  for await (const [id, record] of metadata.ingests()) {
    const { placing, ...rest } = record;
    const { digest, account = '', repository = '' } = record;
    if (!unmatched.delete(id)) {
      await metadata.writeUnsynced(drop.ingest(id));
      continue;
    }
    if (placing !== undefined) await commits.undo(folders.folder(id), placing);
    if (digest !== undefined && (await metadata.blob(digest))) {
      await folders.remove(id);
      await metadata.writeUnsynced(drop.ingest(id));
      continue;
    }
    if (record.purpose === 'upload') open.add(id, { account, repository });
    if (placing !== undefined || afterReboot) {
      // After a reboot, both record and bytes may be older than the last writer knows.
      await metadata.writeUnsynced(put.ingest(id, { ...rest, unclean: rest.unclean || afterReboot }));
    }
  }
  for (const name of unmatched) {
    const digest = digestOfTransfer(name);
    // The name of a transfer's folder holds its digest, so the ingest can be restored.
    if (isDigest(digest) && !(await commits.present(digest))) {
      const transfer = { purpose: 'transfer' as const, digest, touched: now(), writers: [] };
      await metadata.writeUnsynced(put.ingest(name, { ...transfer, unclean: true }));
    } else await folders.remove(name);
  }
}
