import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { isStatus } from '../../link/answers/retry.ts';

/** How long passes must have found a repository refused before its content may be deleted, in ms. */
export const REFUSAL_GRACE_MS = 60 * 60_000;

const REMEDY =
  'let the login of this layer read the repository there (in the scope map of a token: content/read and metadata/read), or remove it from repositories';

/** Whether the parent itself refused a request on a repository: its token service, or a proxy, did not. */
export const isRefusedByParent = (error: unknown): error is Fault =>
  isStatus(error, 401, 403) && (error as Fault).detail?.login !== true;

/** The refusal of a request on a repository, with its remedy. Any other error is returned as it is. */
export function withRemedy(error: unknown): unknown {
  if (!isRefusedByParent(error)) return error;
  const { code, message, detail, cause } = error;
  return new Fault(code, `${message}; ${REMEDY}`, { cause, ...(detail && { detail }) });
}

/**
 * Repositories that the parent refuses to this layer, as its passes found them. A repository that one unscoped pass
 * reads is no longer refused. A restart forgets them, so their grace begins again.
 */
export class RefusedRepositories {
  readonly #now: () => number;
  #since = new Map<Repository, number>();
  #current = new Set<Repository>();
  readonly #deleted = new Set<Repository>();

  /** @param now monotonic, in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The running pass found the repository refused. */
  add(repository: Repository): void {
    this.#current.add(repository);
  }

  /** The running pass has compared what it compares. @returns repositories whose grace is over */
  endComparison(): Repository[] {
    const now = this.#now();
    this.#since = new Map([...this.#current].map((name) => [name, this.#since.get(name) ?? now]));
    this.#current = new Set();
    for (const name of this.#deleted) if (!this.#since.has(name)) this.#deleted.delete(name);
    const isDue = ([name, since]: [Repository, number]) =>
      now - since >= REFUSAL_GRACE_MS && !this.#deleted.has(name);
    return [...this.#since].filter(isDue).map(([name]) => name);
  }

  isRefused(repository: Repository): boolean {
    return this.#since.has(repository);
  }

  /** The content of the repository is deleted. */
  deleted(repository: Repository): void {
    this.#deleted.add(repository);
  }
}
