import type { Static } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import {
  type compareRestored,
  layerRestored,
  MAX_RESTORED_NAMES,
  type ReportedChange,
  type RestoredReport,
  type RestoredStatus,
} from '#proto/content/restored.ts';
import { type Metadata, put } from '../../metadata/metadata.ts';
import type { RestoredRecord } from '../../metadata/records.ts';

/** How long the status of a layer says that it was restored, in ms. */
const SHOWN_MS = 30 * 24 * 60 * 60_000;

/**
 * Max time after a start of a restored layer for which it compares with its parent before the layers below compare with
 * it, in ms. Else each tag that is newer above and below would become a conflict there.
 */
export const MAX_COMPARING_MS = 10 * 60_000;

type ReportDeps = {
  metadata: Metadata;
  publish: Bus['publish'];
  /** Wall clock, in ms since 1970. */
  now: () => number;
  /** Monotonic clock, in ms. */
  running: () => number;
};
type Counts = Omit<RestoredReport, 'known' | 'complete'>;

const nothing = (): Counts => ({ back: 0, lost: 0, lostFirst: [], returned: 0, returnedFirst: [] });

/** What became of the changes that were made in a restored layer after its backup. */
export class RestoredChanges {
  readonly #deps: ReportDeps;
  #record: RestoredRecord | undefined;
  #counts = nothing();
  readonly #opened: number;

  constructor(deps: ReportDeps, record?: RestoredRecord) {
    this.#deps = deps;
    this.#record = record;
    this.#opened = deps.running();
  }

  /** The layers below are to wait. */
  get isComparing(): boolean {
    const isPending = this.#record !== undefined && !this.#record.report;
    return isPending && this.#deps.running() - this.#opened < MAX_COMPARING_MS;
  }

  /** Undefined if the layer was not restored. */
  get current(): RestoredStatus | undefined {
    return this.#record;
  }

  /** The same for the status of the layer, for a time, without what has come back since the report. */
  async shown(): Promise<RestoredStatus | undefined> {
    const record = this.#record;
    if (!record || this.#deps.now() - record.restored >= SHOWN_MS) return undefined;
    const { report } = record;
    if (!report || report.lost === 0) return record;
    const isBack = await Promise.all(report.lostFirst.map((name) => this.#isHere(name)));
    const lostFirst = report.lostFirst.filter((_, index) => !isBack[index]);
    const count = report.lostFirst.length - lostFirst.length;
    const { lost, back } = report;
    return { ...record, report: { ...report, lost: lost - count, back: back + count, lostFirst } };
  }

  /** @param name `<repository>:<tag>@<digest>` */
  async #isHere(name: string): Promise<boolean> {
    const [reference = '', digest = ''] = name.split('@');
    const repository = reference.slice(0, reference.lastIndexOf(':'));
    const [manifest] = await this.#deps.metadata.manifestsByDigest(repository, [digest]);
    return manifest !== undefined;
  }

  /** See `compareRestored`. */
  async compare({ changes, first, last }: Static<typeof compareRestored.query>): Promise<void> {
    if (first) this.#counts = nothing();
    for (const change of changes) await this.#compare(change);
    const record = this.#record;
    if (!last || !record) return;
    const report = { ...last, ...this.#counts };
    this.#record = { ...record, report };
    await this.#deps.metadata.write(put.restored(this.#record));
    const { backup, at } = record;
    this.#deps.publish(layerRestored, { backup, at, ...report });
  }

  async #compare({ repository, tag, digest }: ReportedChange): Promise<void> {
    const { metadata } = this.#deps;
    const counts = this.#counts;
    const name = `${repository}:${tag}`;
    if (digest === null) {
      if ((await metadata.tag(repository, tag)) === undefined) return;
      counts.returned += 1;
      if (counts.returnedFirst.length < MAX_RESTORED_NAMES) counts.returnedFirst.push(name);
      return;
    }
    const [manifest] = await metadata.manifestsByDigest(repository, [digest]);
    if (manifest) counts.back += 1;
    else {
      counts.lost += 1;
      if (counts.lostFirst.length < MAX_RESTORED_NAMES) counts.lostFirst.push(`${name}@${digest}`);
    }
  }
}
