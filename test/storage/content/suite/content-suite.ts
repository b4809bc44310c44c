import { describe } from 'node:test';
import { blobs } from './blobs.ts';
import { claims } from './claims.ts';
import { commits } from './commits.ts';
import type { ContentHarness } from './content-harness.ts';
import { idleClaims } from './idle-claims.ts';
import { ingests } from './ingests.ts';

/*
 * The suite, by parts:
 *
 *   commits.ts   what a commit checks, and whose hash it trusts
 *   claims.ts    one writer at a time
 *   idle-claims.ts   claims on uploads between the requests that bring their parts
 *   ingests.ts   what others see of an ingest, and what a release or a restart leaves
 *   blobs.ts     links of repositories, and how long garbage collection keeps content
 */

/**
 * The contract of a content store: every implementation of `ContentStore` passes it.
 * @param name of the implementation
 * @param make returns a new, empty store
 */
export function contentSuite(name: string, make: () => Promise<ContentHarness>): void {
  describe(name, () => {
    commits(make);
    claims(make);
    idleClaims(make);
    ingests(make);
    blobs(make);
  });
}
