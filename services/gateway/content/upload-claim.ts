import type { Bus, Log } from '#proto/bus/bus.ts';
import { claimUpload } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Volume } from '#proto/volume/volume.ts';
import { ClaimRenewal } from './claim-renewal.ts';
import type { IdleClaim, IdleClaims } from './idle-claims.ts';

export type UploadClaimDeps = {
  bus: Bus;
  volume: Volume;
  /** Holder of this process's claims. */
  instance: string;
  idleClaims: IdleClaims;
  times: { renewMs: number; patienceMs: number };
  log: Log;
};

/**
 * The claim on an upload that one request continues. Leaving the scope makes it idle on the volume, without a request
 * to storage: any process continues the upload.
 */
export class UploadClaim extends ClaimRenewal {
  readonly #deps: UploadClaimDeps;
  readonly #repository: string;

  /**
   * Resumes the idle claim of this process, or claims the upload at storage.
   * @throws Fault `upload-unknown`, `busy` if another request holds it
   */
  static async take(deps: UploadClaimDeps, repository: string, id: string): Promise<UploadClaim> {
    const { bus, volume, instance, idleClaims, times } = deps;
    const idle = idleClaims.take(repository, id);
    if (idle && (await volume.resumeClaim(idle.claim))) return new UploadClaim(deps, repository, idle);
    const renewedAt = performance.now();
    const query = { repository, id, by: instance };
    const claim = await bus.call(claimUpload, query, { patience: times.patienceMs });
    return new UploadClaim(deps, repository, { claim, renewedAt });
  }

  private constructor(deps: UploadClaimDeps, repository: string, { claim, renewedAt }: IdleClaim) {
    super(deps.bus, claim, deps.times.renewMs, deps.log, renewedAt);
    this.#deps = deps;
    this.#repository = repository;
  }

  /** Makes the claim idle. Only after that is the written content certain to count. @throws Fault `claim-lost` */
  override async release(): Promise<void> {
    this.end();
    if (await this.#deps.volume.suspendClaim(this.claim)) return;
    throw new Fault(
      'claim-lost',
      `the claim on ${this.claim.id} expired or was taken over: continue at its end`,
    );
  }

  /**
   * Releases the claim for the next request, which continues at `offset`, the end of what is written.
   * @throws Fault `claim-lost`
   */
  async releaseAt(offset: number): Promise<void> {
    await this.release();
    const { idleClaims } = this.#deps;
    idleClaims.put(this.#repository, { claim: { ...this.claim, offset }, renewedAt: this.renewedAt });
  }
}
