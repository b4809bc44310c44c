import { join } from 'node:path';
import type { RequestSender } from '#proto/bus/caller.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { safeJson } from '#proto/contract/terminal-text.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import { AUDIT_LOG } from '#proto/volume/layout.ts';
import { AuditFile } from './audit-file.ts';
import { currentCaller } from './caller-context.ts';

/*
 * Audit: who did what in this layer, as lines of JSON in `log/audit.log` of the data volume.
 *
 *   caller-context.ts   caller of the current request
 *   audit.ts            entries of storage itself, and entries that the gateway and twin-bridge add
 *   audit-facts.ts      details of entries about accounts, without secrets
 *   audit-file.ts       the file, its rotation, and the numbers of entries
 *   audit-line.ts       reads a line of the file
 *
 * ../syslog/ forwards the lines to a syslog receiver, if one is configured.
 *
 * A change of storage has two synced entries: one before it begins, one when it is done or has failed. An entry that
 * cannot be written blocks nothing: it is logged, and counted in the status.
 */

export type AuditOptions = { data: string; layer: string; log: Log; now: () => number };
/** An entry without its author and time. */
export type AuditFacts = Omit<AuditEntry, 'at' | 'account' | 'person'>;
/** Entries that could not be written; `since` in ms since 1970. */
export type LostEntries = { lost: number; since: number; reason: string };

/** Account of entries about actions that storage takes by itself. */
const SELF_ACCOUNT = '_storage';
/** Max characters of a reason. */
const MAX_REASON = 400;

/** The audit log of the layer. An entry that cannot be written blocks nothing, but is logged and counted. */
export class Audit implements AsyncDisposable {
  readonly file: AuditFile;
  readonly #options: AuditOptions;
  /** Since the start. */
  lost: LostEntries | undefined;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.file = new AuditFile(join(options.data, AUDIT_LOG));
  }

  /** Records an action of storage, by itself or on request. Synced when it resolves, unless it cannot be written. */
  async record(facts: AuditFacts): Promise<void> {
    const { user, account = user === undefined ? SELF_ACCOUNT : undefined, person } = currentCaller();
    const who = { ...(account !== undefined && { account }), ...(person !== undefined && { person }) };
    const entry = { at: this.#options.now(), ...who, ...facts };
    this.#options.log.info({ audit: true, ...entry }, facts.outcome);
    await this.#write([entry], true);
  }

  /** Runs a change: records it before it begins, and again when it is done or has failed. */
  async change<T>(
    facts: Omit<AuditFacts, 'outcome'>,
    work: () => Promise<T>,
    resultOf: (done: T) => NonNullable<AuditFacts['detail']> = () => ({}),
  ): Promise<T> {
    await this.record({ ...facts, outcome: 'begun' });
    try {
      const done = await work();
      const detail = { ...facts.detail, ...resultOf(done) };
      const more = Object.keys(detail).length > 0 ? { detail } : {};
      await this.record({ ...facts, ...more, outcome: 'done' });
      return done;
    } catch (error) {
      const reason = error instanceof Fault ? error.message : 'internal error: see the log of the service';
      await this.record({ ...facts, outcome: 'failed', reason: clip(reason, MAX_REASON) });
      throw error;
    }
  }

  /** Adds entries of other services: requests of clients, the configuration. @throws Fault `denied` */
  async add(entries: AuditEntry[], { user, account }: RequestSender): Promise<void> {
    if (user === 'gateway') return this.#write(entries, false);
    if (user !== 'twin-bridge')
      throw new Fault('denied', 'only the gateway and twin-bridge may add audit entries');
    const attributed = entries.map((entry) => ({ ...entry, ...(account !== undefined && { account }) }));
    await this.#write(attributed, true);
  }

  async #write(entries: AuditEntry[], durable: boolean): Promise<void> {
    const { layer, log, now } = this.#options;
    const lines = entries.map(
      ({ at, ...rest }) =>
        (id: string) =>
          // Escaped, because the file is read on terminals as it is. The order of the first two is that of `numberOf`.
          safeJson(JSON.stringify({ time: new Date(at).toISOString(), id, layer, ...rest })),
    );
    try {
      await this.file.append(lines, durable);
    } catch (err) {
      const { code = 'unknown' } = err as NodeJS.ErrnoException;
      const reason = `log/audit.log can't be written (${code})`;
      const { lost = 0, since = now() } = this.lost ?? {};
      this.lost = { lost: lost + entries.length, since, reason };
      log.error({ err, lost: this.lost.lost }, 'audit entries lost');
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.file[Symbol.asyncDispose]();
  }
}
