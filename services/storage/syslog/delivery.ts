import type { Log } from '#proto/contract/log.ts';
import type { AuditFile } from '../audit/audit-file.ts';
import { type MetadataWriter, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { ForwardingRecord } from '../metadata/records.ts';
import type { Checkpoint } from './confirmations.ts';
import { type LogPosition, locate } from './log-position.ts';

/** How long a loss is part of the status after the last entry was lost, in ms. */
const SHOWN_MS = 24 * 60 * 60_000;

export type DeliveryDeps = {
  metadata: MetadataReader & MetadataWriter;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/**
 * What the receiver has, stored in the metadata: the position in the log up to which entries are delivered, and the
 * entries that were deleted before. It holds for any receiver: another one continues there.
 */
export class DeliveryRecord {
  readonly #deps: DeliveryDeps;
  #record: ForwardingRecord = {};

  static async open(deps: DeliveryDeps): Promise<DeliveryRecord> {
    const delivery = new DeliveryRecord(deps);
    delivery.#record = (await deps.metadata.forwarding()) ?? {};
    return delivery;
  }

  private constructor(deps: DeliveryDeps) {
    this.#deps = deps;
  }

  get position(): LogPosition | undefined {
    return this.#record.position;
  }

  /** Number of lost entries that the receiver was not informed of. */
  get unreported(): number {
    return this.#record.loss?.unreported ?? 0;
  }

  get lostAt(): number {
    return this.#record.loss?.last ?? 0;
  }

  lossToShow(): { count: number; since: number; last: number } | undefined {
    const { loss } = this.#record;
    if (!loss || (loss.unreported === 0 && this.#deps.now() - loss.last > SHOWN_MS)) return undefined;
    const { unreported: _unreported, ...shown } = loss;
    return shown;
  }

  async confirm({ position, reported }: Checkpoint): Promise<void> {
    const { loss } = this.#record;
    const unreported = Math.max(0, (loss?.unreported ?? 0) - reported);
    await this.#store({ position, ...(loss && { loss: { ...loss, unreported } }) });
  }

  /** Finds the position on the disk, or begins at the oldest entry. @returns the number of entries lost in between */
  async locate(file: AuditFile): Promise<number> {
    const before = this.#record.position;
    const located = await file.exclusively(() => locate(file.path, before));
    await located?.file.close();
    if (!located || located.position === before) return 0;
    const { position, lost } = located;
    if (lost > 0) await this.addLoss(lost, position);
    else await this.#store({ ...this.#record, position });
    return lost;
  }

  /** @param position the oldest one on the disk: nothing before it can be sent */
  async addLoss(count: number, position: LogPosition): Promise<void> {
    const now = this.#deps.now();
    const before = this.lossToShow();
    await this.#store({
      position,
      loss: {
        count: (before?.count ?? 0) + count,
        since: before?.since ?? now,
        last: now,
        unreported: this.unreported + count,
      },
    });
  }

  /** Unsynced: after a power cut, the latest entries are sent again. */
  async #store(record: ForwardingRecord): Promise<void> {
    this.#record = record;
    const { metadata, log } = this.#deps;
    await metadata
      .writeUnsynced(put.forwarding(record))
      .catch((err) => log.debug({ err }, 'position in the audit log could not be stored'));
  }
}
