import type { Term } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { type Metadata, put } from '../metadata/metadata.ts';

/**
 * Lets changes of one coordinator in at a time: of the one that holds the last term. What a client asks for carries no
 * term, and is never refused here.
 */
export class Fence {
  readonly #metadata: Pick<Metadata, 'write'>;
  readonly #log: Log;
  #last: Term;
  /** Changes with a term. */
  readonly #underWay = new Set<Promise<unknown>>();
  #turn: Promise<unknown> = Promise.resolve();

  static async open(metadata: Pick<Metadata, 'write' | 'term'>, log: Log): Promise<Fence> {
    return new Fence(metadata, log, (await metadata.term()) ?? 0);
  }

  private constructor(metadata: Pick<Metadata, 'write'>, log: Log, last: Term) {
    this.#metadata = metadata;
    this.#log = log;
    this.#last = last;
  }

  /** Hands out the next term, when nothing of those before it is under way any more. */
  take(by: string): Promise<Term> {
    const turn = this.#turn.then(async () => {
      const term = this.#last + 1;
      // From here on nothing of an earlier term begins, so what is waited for below only grows less.
      this.#last = term;
      await this.#metadata.write(put.term(term));
      await Promise.all(this.#underWay);
      this.#log.info({ term, by }, 'a new coordinator');
      return term;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /**
   * Makes a change of the pass that has this term.
   * @throws Fault `claim-lost` with `detail.term` where another one has been handed out. One that is higher than all
   *   was handed out by metadata that were replaced by an older copy of them: what that pass knows is not true here
   */
  async run<T>(term: Term | undefined, change: () => Promise<T>): Promise<T> {
    if (term === undefined) return change();
    if (term !== this.#last) {
      throw new Fault('claim-lost', `term ${term} has ended: term ${this.#last} makes the passes`, {
        detail: { term: this.#last },
      });
    }
    const changing = change();
    const ended = changing.then(nothing, nothing).finally(() => this.#underWay.delete(ended));
    this.#underWay.add(ended);
    return changing;
  }
}

const nothing = () => {};
