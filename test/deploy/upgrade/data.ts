import { join } from 'node:path';

/** The data of an earlier version, of commit 3470049: make-data.ts makes both files. */
export const DATA = join(import.meta.dirname, 'data-3470049.tar.gz');
export const FACTS = join(import.meta.dirname, 'data-3470049.json');

/** What is in it: `digests` of a tag are those of all that an image needs. */
export type Facts = {
  images: { repository: string; tag: string; digests: string[] }[];
  /** A push that has yet to go to the cloud. */
  unsent: { repository: string; tag: string };
  token: string;
  password: string;
};
