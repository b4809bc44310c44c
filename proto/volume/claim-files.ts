import { closeSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { claimFiles } from './layout.ts';

/**
 * The state of a claim on an upload, which its holder and storage change without a message to each other: an empty
 * file in the folder of the ingest, whose name has the token of the claim and its state.
 *
 *   idle     nobody writes, and nobody has the bytes open for writing
 *   active   the holder writes, or asks for the commit
 *
 * Each change is one rename, so of several that try it one succeeds, whichever host each is on. The holder resumes an
 * idle claim before it writes, and acknowledges written bytes only once the claim is idle again. Storage grants an
 * upload to another writer by renaming the file to the token of that one: at once while the claim is idle, after its
 * TTL while it is active. The holder's next rename then finds no file, and it stops.
 *
 * After a restart of the machine these files prove nothing, and the ingest is unclean.
 */
export type ClaimState = { token: string; state: 'idle' | 'active' };

/** @param folder absolute path of the ingest */
export async function createClaim(folder: string, { token, state }: ClaimState): Promise<void> {
  closeSync(openSync(claimFiles(folder, token)[state], 'w', 0o600));
}

/** @returns false if no claim of this token is in this state */
export async function changeClaim(folder: string, from: ClaimState, to: ClaimState): Promise<boolean> {
  try {
    renameSync(claimFiles(folder, from.token)[from.state], claimFiles(folder, to.token)[to.state]);
    return true;
  } catch (error) {
    return unlessMissing(error);
  }
}

/** @returns false if no claim of this token is in this state */
export async function removeClaim(folder: string, { token, state }: ClaimState): Promise<boolean> {
  try {
    unlinkSync(claimFiles(folder, token)[state]);
    return true;
  } catch (error) {
    return unlessMissing(error);
  }
}

function unlessMissing(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
  throw error;
}
