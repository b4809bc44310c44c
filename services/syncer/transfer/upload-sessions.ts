import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { dropSession, getSession, keepSession } from '#proto/sync/outgoing.ts';
import type { Session } from '../link/parent/session.ts';
import type { Upward } from '../link/parent/upward.ts';
import type { Wanted } from './download.ts';
import { PATIENCE } from './transfer-steps.ts';

const MAX_LOCATION = 8_192;

/** The upload sessions of a blob at the parent, as storage remembers them for whoever goes on. */
export class Sessions {
  readonly #bus: Bus;
  readonly #signal: AbortSignal;
  /** Mounts are tried once: what could not be mounted is sent. */
  #from: Repository[];

  constructor(bus: Bus, signal: AbortSignal, from: Repository[]) {
    this.#bus = bus;
    this.#signal = signal;
    this.#from = from;
  }

  /** Mounts the blob, or goes on with the session that was kept, or begins one. */
  async open(upward: Upward, wanted: Wanted): Promise<'mounted' | Session> {
    const { repository, digest } = wanted;
    const mounted = await this.#mounted(upward, wanted);
    if (mounted === 'mounted') {
      await this.forget(wanted);
      return mounted;
    }
    const kept = await this.#kept(upward, wanted);
    if (kept) {
      if (mounted) await this.#cancel(upward, wanted, mounted);
      return kept;
    }
    const session = mounted ?? (await upward.begin(repository, digest, this.#signal));
    await this.keep(wanted, session);
    return session;
  }

  async keep({ repository, digest }: Wanted, { location }: Session): Promise<void> {
    if (location.length > MAX_LOCATION) return;
    await this.#bus.call(keepSession, { repository, digest, location }, PATIENCE);
  }

  async forget({ repository, digest }: Wanted): Promise<void> {
    await this.#bus.call(dropSession, { repository, digest }, PATIENCE);
  }

  /** @returns a session that the parent opened because it could not mount, where it did */
  async #mounted(upward: Upward, wanted: Wanted): Promise<'mounted' | Session | undefined> {
    const { repository, digest } = wanted;
    const candidates = this.#from;
    this.#from = [];
    let spare: Session | undefined;
    for (const from of candidates) {
      const answer = await upward.mount(repository, digest, from, this.#signal).catch((error) => {
        // Who may write here need not be one who may read there.
        if (Fault.is(error, 'parent-refused')) return undefined;
        throw error;
      });
      if (spare) await this.#cancel(upward, wanted, spare);
      if (answer === 'mounted') return answer;
      spare = answer;
    }
    return spare;
  }

  async #kept(upward: Upward, wanted: Wanted): Promise<Session | undefined> {
    const { repository, digest, size } = wanted;
    const { location } = await this.#bus.call(getSession, { repository, digest }, PATIENCE);
    if (location === undefined) return undefined;
    const found = await upward.offset(repository, location, this.#signal);
    if (found && found.offset <= size) {
      if (found.location !== location) await this.keep(wanted, found);
      return found;
    }
    await this.forget(wanted);
    return undefined;
  }

  async #cancel(upward: Upward, { repository }: Wanted, { location }: Session): Promise<void> {
    await upward.cancel(repository, location, this.#signal).catch(() => {});
  }
}
