import { join } from 'node:path';
import type { Caller } from '#proto/bus/caller.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { safeJson } from '#proto/contract/terminal-text.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import { currentCaller } from './asking.ts';
import { AuditFile } from './audit-file.ts';

export type AuditOptions = { data: string; layer: string; log: Log; now: () => number };
/** What is known of an entry beside who did it, and when. */
export type Facts = Omit<AuditEntry, 'at' | 'account' | 'person'>;
/** Entries that could not be written. */
export type LostEntries = { lost: number; since: number; reason: string };

/** Where nobody asked: what storage does by itself. */
const ITSELF = '_storage';
const MAX_REASON = 400;

/** The audit of the layer: `log/audit.log` of the data volume. An entry that can't be written holds nothing up, but is told. */
export class Audit implements AsyncDisposable {
  readonly #file: AuditFile;
  readonly #options: AuditOptions;
  /** Since the start. */
  lost: LostEntries | undefined;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#file = new AuditFile(join(options.data, 'log', 'audit.log'));
  }

  /** Something that storage itself does, or is asked to. On the disk when it returns, unless it can't be written. */
  async note(facts: Facts): Promise<void> {
    const { user, account = user === undefined ? ITSELF : undefined, person } = currentCaller();
    const who = { ...(account !== undefined && { account }), ...(person !== undefined && { person }) };
    const entry = { at: this.#options.now(), ...who, ...facts };
    this.#options.log.info({ audit: true, ...entry }, facts.outcome);
    await this.#write([entry], true);
  }

  /** Carries out a change that is written before it is made, and again when it has come to its end. */
  async change<T>(
    facts: Omit<Facts, 'outcome'>,
    work: () => Promise<T>,
    resultOf: (done: T) => NonNullable<Facts['detail']> = () => ({}),
  ): Promise<T> {
    await this.note({ ...facts, outcome: 'begun' });
    try {
      const done = await work();
      const detail = { ...facts.detail, ...resultOf(done) };
      const more = Object.keys(detail).length > 0 ? { detail } : {};
      await this.note({ ...facts, ...more, outcome: 'done' });
      return done;
    } catch (error) {
      const reason = error instanceof Fault ? error.message : 'the service failed; its log says why';
      await this.note({ ...facts, outcome: 'failed', reason: clip(reason, MAX_REASON) });
      throw error;
    }
  }

  /** What other services saw: requests of clients, and the configuration. @throws Fault `denied` */
  async add(entries: AuditEntry[], { user, account }: Caller): Promise<void> {
    if (user === 'gateway') return this.#write(entries, false);
    if (user !== 'twin-bridge')
      throw new Fault('denied', 'only the gateway and twin-bridge add to the audit');
    const own = entries.map((entry) => ({ ...entry, ...(account !== undefined && { account }) }));
    await this.#write(own, true);
  }

  async #write(entries: AuditEntry[], durable: boolean): Promise<void> {
    const { layer, log, now } = this.#options;
    const lines = entries.map(({ at, ...rest }) =>
      // Whoever reads it does so on a terminal, as it is.
      safeJson(JSON.stringify({ time: new Date(at).toISOString(), layer, ...rest })),
    );
    try {
      await this.#file.append(lines, durable);
    } catch (err) {
      const { code = 'unknown' } = err as NodeJS.ErrnoException;
      const reason = `log/audit.log can't be written (${code})`;
      const { lost = 0, since = now() } = this.lost ?? {};
      this.lost = { lost: lost + entries.length, since, reason };
      log.error({ err, lost: this.lost.lost }, 'entries of the audit are lost');
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file[Symbol.asyncDispose]();
  }
}
