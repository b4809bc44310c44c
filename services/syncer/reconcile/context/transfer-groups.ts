import { MAX_TRANSFER_GROUP } from '#proto/content/ingests.ts';
import { MAX_GROUP_BYTES, type TransferJob } from '#proto/sync/transfers.ts';

/** How long the first blob of a group waits for others, in ms. */
const GATHER_MS = 5;
/** Size of a group with which it is submitted at once, in blobs. */
const ENOUGH = MAX_TRANSFER_GROUP / 2;

/** Gathers the jobs of small blobs that are requested at nearly the same time into one job. */
export class TransferGroups {
  readonly #submit: (job: TransferJob) => void;
  #jobs: TransferJob[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(submit: (job: TransferJob) => void) {
    this.#submit = submit;
  }

  /** @param job the same as those before but for the blob */
  add(job: TransferJob): void {
    if (this.#bytes + job.size > MAX_GROUP_BYTES) this.flush();
    this.#jobs.push(job);
    this.#bytes += job.size;
    if (this.#jobs.length >= ENOUGH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Forgets the jobs that are not submitted. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#jobs = [];
    this.#bytes = 0;
  }

  /** Submits what is gathered. */
  flush(): void {
    const [first, ...others] = this.#jobs;
    this.clear();
    if (first) this.#submit(others.length > 0 ? { ...first, others: others.map(groupedOf) } : first);
  }
}

const groupedOf = ({ repository, digest, size, imageContext }: TransferJob) => ({
  repository,
  digest,
  size,
  ...(imageContext && { imageContext }),
});
