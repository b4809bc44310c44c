import type { Digest } from '#proto/oci/names.ts';
import type { PassContext } from '../context/pass-context.ts';

/** Submits no jobs for blobs that were downloaded for another image of the batch. */
export function downloadedOnce(transferJobs: PassContext['transferJobs']): PassContext['transferJobs'] {
  const downloaded = new Set<Digest>();
  return {
    upload: (wanted) => transferJobs.upload(wanted),
    download: async (wanted) => {
      if (downloaded.has(wanted.digest)) return;
      await transferJobs.download(wanted);
      downloaded.add(wanted.digest);
    },
  };
}
