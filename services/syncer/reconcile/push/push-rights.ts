import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { isStatus } from '../../link/answers/retry.ts';
import type { PassContext } from '../context/pass-context.ts';
import { EMPTY_DIGEST } from '../context/placeholder.ts';

/** The login may not push to the repository: its changes wait. */
export class PushDenied extends Fault {
  constructor(cause: Fault) {
    const message = `the parent lets this layer only read (${cause.message}): give its login the right to push, or set mode to ReadOnly; what was pushed here stays`;
    super('denied', message, { cause, detail: { ...cause.detail } });
  }
}

/**
 * Whether the login may push at all. A parent also answers 401 or 403 for one locked tag or a quota, so after such an
 * answer an upload is begun, which carries nothing. If that is refused too, the other changes of the repository need no
 * request in this pass.
 */
export class PushRights {
  readonly #context: Pick<PassContext, 'pushClient' | 'signal'>;
  readonly #reported = new Set<Repository>();
  readonly #denials = new Map<Repository, Promise<PushDenied | undefined>>();

  constructor(context: Pick<PassContext, 'pushClient' | 'signal'>) {
    this.#context = context;
  }

  /** The refusal for this repository, if one is known in this pass. */
  async denial(repository: Repository): Promise<PushDenied | undefined> {
    return this.#denials.get(repository);
  }

  /** Whether this is the first call for the repository: one event stands for all of its changes. */
  isFirstDenial(repository: Repository): boolean {
    const isFirst = !this.#reported.has(repository);
    this.#reported.add(repository);
    return isFirst;
  }

  /** @returns `PushDenied` in place of a refusal, if the login may not push to the repository; else the error */
  async explained(repository: Repository, error: unknown): Promise<unknown> {
    if (!Fault.is(error, 'parent-refused') || !isStatus(error, 401, 403)) return error;
    const known = this.#denials.get(repository) ?? this.#check(repository);
    this.#denials.set(repository, known);
    return (await known) ?? error;
  }

  async #check(repository: Repository): Promise<PushDenied | undefined> {
    const { pushClient, signal } = this.#context;
    const { uploads } = pushClient;
    try {
      const { location } = await uploads.begin(repository, EMPTY_DIGEST, signal);
      await uploads.cancel(repository, location, signal).catch(() => {});
      return undefined;
    } catch (error) {
      if (!Fault.is(error, 'parent-refused') || !isStatus(error, 401, 403)) return undefined;
      return new PushDenied(error);
    }
  }
}
