import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '#proto/contract/log.ts';
import type { SyslogTarget } from '#proto/document/audit.ts';
import { AuditFile, auditFilesOf } from '../../../services/storage/audit/audit-file.ts';
import { readLine } from '../../../services/storage/audit/audit-line.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { AuditForwarding } from '../../../services/storage/syslog/audit-forwarding.ts';
import type { ForwarderTimes } from '../../../services/storage/syslog/forwarder.ts';
import { quiet } from '../../support/bus.ts';
import { patience, until } from '../../support/until.ts';

/** Short waits: a receiver that is back is found at once. */
export const QUICK: Partial<ForwarderTimes> = {
  settleMs: 20,
  stableMs: 1,
  stallMs: patience(),
  connectMs: patience(),
  flushMs: patience(),
  retry: { firstMs: 10, maxMs: 30 },
};

/** An audit log with its forwarding, without the other parts of storage. */
export class ForwardingRig implements AsyncDisposable {
  readonly folder: string;
  /** Data of the published events, in order. */
  readonly events: Record<string, unknown>[] = [];
  /** Warnings and errors of the log, in order. */
  readonly warnings: unknown[] = [];
  file!: AuditFile;
  forwarding!: AuditForwarding;
  now = Date.UTC(2030, 0, 1);
  #metadata!: Metadata;
  readonly #rotateBytes: number | undefined;

  static async open(rotateBytes?: number): Promise<ForwardingRig> {
    const rig = new ForwardingRig(await mkdtemp(join(tmpdir(), 'terrace-syslog-')), rotateBytes);
    await rig.start();
    return rig;
  }

  private constructor(folder: string, rotateBytes: number | undefined) {
    this.folder = folder;
    this.#rotateBytes = rotateBytes;
  }

  get path(): string {
    return join(this.folder, 'log/audit.log');
  }

  async start(): Promise<void> {
    this.#metadata = await Metadata.open(join(this.folder, 'metadata'));
    this.file = new AuditFile(this.path, this.#rotateBytes);
    const note = (fields: unknown) => this.warnings.push(fields);
    this.forwarding = new AuditForwarding({
      metadata: this.#metadata,
      file: this.file,
      layer: 'line-7',
      publish: (_event, data) => void this.events.push(data as Record<string, unknown>),
      log: { ...quiet, warn: note, error: note } as Log,
      now: () => this.now,
    });
  }

  async stop(): Promise<void> {
    await this.forwarding[Symbol.asyncDispose]();
    await this.file[Symbol.asyncDispose]();
    await this.#metadata[Symbol.asyncDispose]();
  }

  /** Adds entries with a text of `length`, each by an append of its own. */
  async add(count: number, length = 1): Promise<void> {
    for (let n = 0; n < count; n += 1) await this.addAtOnce(1, length);
  }

  addAtOnce(count: number, length = 1): Promise<void> {
    const time = new Date(this.now).toISOString();
    const rest = { layer: 'line-7', action: 'content/write', outcome: 'written', reason: 'r'.repeat(length) };
    const make = (id: string) => JSON.stringify({ time, id, ...rest });
    return this.file.append(Array(count).fill(make), false);
  }

  /** Ids of all entries on the disk, in order. */
  async ids(): Promise<string[]> {
    const texts = await Promise.all((await auditFilesOf(this.path)).map((path) => readFile(path, 'utf8')));
    return texts.flatMap((text) => text.split('\n').filter(Boolean)).map((line) => readLine(line).id);
  }

  forwardTo(target: Partial<SyslogTarget> & { port: number }, times: Partial<ForwarderTimes> = {}): void {
    const all = { host: '127.0.0.1', tls: false, facility: 13, spool: 0, ...target };
    this.forwarding.configure(all, { ...QUICK, ...times });
  }

  /** Waits for a state whose reason matches. */
  async state(state: 'Connected' | 'Away', reason = /(?:)/): Promise<void> {
    const holds = () => {
      const status = this.forwarding.status();
      return status?.state === state && reason.test(status.reason ?? '');
    };
    await until(holds, () => JSON.stringify(this.forwarding.status()));
  }

  /** Waits until the entries up to this number are delivered. */
  async delivered(number: number): Promise<void> {
    await until(async () => (await this.#metadata.forwarding())?.position?.number === number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
