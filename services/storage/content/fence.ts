import type { Term } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { type BatchWriter, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';

/** Keeps the last term. */
type TermRecords = BatchWriter & { term: MetadataReader['term'] };

/**
 * Admits the changes of one coordinator at a time: the holder of the latest term. Requests of clients carry no term and
 * are never refused here.
 */
export class Fence {
  readonly #metadata: BatchWriter;
  readonly #log: Log;
  #last: Term;
  /** Changes with a term, in flight. */
  readonly #inFlight = new Set<Promise<unknown>>();
  #lastTake: Promise<unknown> = Promise.resolve();

  static async open(metadata: TermRecords, log: Log): Promise<Fence> {
    return new Fence(metadata, log, (await metadata.term()) ?? 0);
  }

  private constructor(metadata: BatchWriter, log: Log, last: Term) {
    this.#metadata = metadata;
    this.#log = log;
    this.#last = last;
  }

  /** Hands out the next term once no change of an earlier term is in flight. */
  take(by: string): Promise<Term> {
    const taking = this.#lastTake.then(async () => {
      const term = this.#last + 1;
      // No change of an earlier term starts from here on, so the set that is awaited below only shrinks.
      this.#last = term;
      await this.#metadata.write(put.term(term));
      await Promise.all(this.#inFlight);
      this.#log.info({ term, by }, 'new coordinator term');
      return term;
    });
    this.#lastTake = taking.catch(() => {});
    return taking;
  }

  /**
   * Runs a change of the pass that holds this term.
   * @throws Fault `claim-lost`, with the latest term in `detail.term`, if this is not the latest one. A higher term was
   *   handed out by metadata that an older copy has since replaced: what its pass knows does not hold here
   */
  async run<T>(term: Term | undefined, change: () => Promise<T>): Promise<T> {
    if (term === undefined) return change();
    if (term !== this.#last) {
      throw new Fault('claim-lost', `term ${term} has ended: term ${this.#last} is current`, {
        detail: { term: this.#last },
      });
    }
    const changing = change();
    const ended = changing.then(nothing, nothing).finally(() => this.#inFlight.delete(ended));
    this.#inFlight.add(ended);
    return changing;
  }
}

const nothing = () => {};
