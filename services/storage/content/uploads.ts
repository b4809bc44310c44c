import type { Claim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { currentCaller, uploaderOf } from '../audit/caller-context.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import type { StartQuery, UploadQuery } from './content-store.ts';
import type { Grace } from './grace.ts';
import type { IngestClaims } from './ingest-claims.ts';
import { type IngestFolders, isUploadId, newUploadId } from './ingest-folders.ts';
import { idleUploads, type OpenUploads, type UploadOwner } from './open-uploads.ts';
import type { SpaceGuard } from './space-guard.ts';

export type UploadStoreDeps = {
  metadata: Metadata;
  folders: IngestFolders;
  claims: IngestClaims;
  open: OpenUploads;
  grace: Grace;
  space: SpaceGuard;
  now: () => number;
};

/** Ingests that clients write: each belongs to a repository, and their number is bounded by `OpenUploads`. */
export class Uploads {
  readonly #deps: UploadStoreDeps;

  constructor(deps: UploadStoreDeps) {
    this.#deps = deps;
  }

  async start({ repository, by, hold, alone }: StartQuery): Promise<Claim> {
    const { claims, open, grace, space, now } = this.#deps;
    await space.mustHaveRoom();
    await grace.renew(repository);
    const id = newUploadId();
    const account = uploaderOf(currentCaller());
    await this.#register(id, { account, repository });
    const record: IngestRecord = {
      purpose: 'upload',
      repository,
      ...(account !== '' && { account }),
      ...(alone && { alone: true }),
      touched: now(),
      writers: [],
      unclean: false,
    };
    try {
      return await claims.grantNew(id, record, by, hold);
    } catch (error) {
      open.delete(id);
      throw error;
    }
  }

  async claim({ repository, id, by }: UploadQuery & { by: string }): Promise<Claim> {
    const { claims, grace, space } = this.#deps;
    claims.mustNotCommit(id);
    await grace.renew(repository);
    return claims.run(id, async () => {
      const record = await this.#record({ repository, id });
      await space.mustHaveRoom();
      return claims.grantUpload(id, record, by);
    });
  }

  async status(upload: UploadQuery): Promise<{ offset: number; touched: number }> {
    const { touched } = await this.#record(upload);
    return { offset: await this.#deps.folders.offset(upload.id), touched };
  }

  async abort(upload: UploadQuery): Promise<void> {
    const { claims } = this.#deps;
    await claims.run(upload.id, async () => {
      await this.#record(upload);
      await claims.remove(upload.id);
    });
  }

  /** If too many uploads are open, deletes idle ones first. @throws Fault `too-many` */
  async #register(id: string, owner: UploadOwner): Promise<void> {
    const { metadata, folders, claims, open, now } = this.#deps;
    const reached = open.reached(owner);
    if (reached) {
      await open.evictIdle(owner, now(), async () => {
        const idle = await idleUploads(reached.ids, metadata, folders, now());
        for (const one of idle) await claims.giveUp(one, (record) => claims.isFree(record), false);
      });
    }
    // Check again, as others may have registered in the meantime. No await between this check and `add`.
    const stillReached = open.reached(owner);
    if (stillReached) throw open.tooMany(owner, stillReached);
    open.add(id, owner);
  }

  /** @throws Fault `upload-unknown` */
  async #record({ repository, id }: UploadQuery): Promise<IngestRecord> {
    const record = isUploadId(id) ? await this.#deps.metadata.ingest(id) : undefined;
    if (record?.repository === repository) return record;
    throw new Fault('upload-unknown', `repository ${repository} has no upload ${id}: start a new one`);
  }
}
