import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { dropSession, getSession, storeSession } from '#proto/sync/outgoing.ts';
import type { BlobUploadState } from '../link/parent/blob-upload-state.ts';
import type { PushClient } from '../link/parent/push-client.ts';
import type { UploadSession } from '../link/parent/session.ts';
import type { WantedBlob } from './download.ts';
import { PATIENCE } from './steps.ts';

/** Max length of a location that is stored, in characters. */
const MAX_LOCATION = 8_192;

/** Upload sessions of a blob at the parent. Storage has their locations, so that another transfer can resume them. */
export class UploadSessions {
  readonly #bus: Bus;
  readonly #signal: AbortSignal;
  /** Repositories to mount from. They are tried once: if none can be mounted from, the blob is sent. */
  #from: Repository[];

  constructor(bus: Bus, signal: AbortSignal, from: Repository[]) {
    this.#bus = bus;
    this.#signal = signal;
    this.#from = from;
  }

  /**
   * Mounts the blob, or resumes its stored session, or begins one.
   * @param state only pieces resume a session
   */
  async open(
    pushClient: PushClient,
    wanted: WantedBlob,
    state: BlobUploadState,
  ): Promise<'mounted' | UploadSession> {
    const { repository, digest } = wanted;
    const mounted = await this.#mount(pushClient, wanted);
    if (mounted === 'mounted') {
      await this.forget(wanted);
      return mounted;
    }
    state.isOffsetAssumed = false;
    const stored = await this.#stored(pushClient, wanted, state);
    if (stored) {
      if (mounted) await this.#cancel(pushClient, wanted, mounted);
      return stored;
    }
    const session = mounted ?? (await pushClient.uploads.begin(repository, digest, this.#signal));
    await this.store(wanted, session);
    return session;
  }

  /** Begins a session in place of the stored one. */
  async restart(pushClient: PushClient, wanted: WantedBlob): Promise<UploadSession> {
    const { repository, digest } = wanted;
    const { location } = await this.#bus.call(getSession, { repository, digest }, PATIENCE);
    if (location !== undefined) await this.#cancel(pushClient, wanted, { location });
    const session = await pushClient.uploads.begin(repository, digest, this.#signal);
    await this.store(wanted, session);
    return session;
  }

  /** Ends the stored session, at the parent and here: the blob is not sent any more. */
  async end(pushClient: PushClient, wanted: WantedBlob): Promise<void> {
    const { repository, digest } = wanted;
    const { location } = await this.#bus.call(getSession, { repository, digest }, PATIENCE);
    if (location === undefined) return;
    await this.#cancel(pushClient, wanted, { location });
    await this.forget(wanted);
  }

  /** Stores the session's location and offset. */
  async store({ repository, digest }: WantedBlob, { location, offset }: UploadSession): Promise<void> {
    if (location.length > MAX_LOCATION) return this.forget({ repository, digest });
    await this.#bus.call(storeSession, { repository, digest, location, offset }, PATIENCE);
  }

  /** Deletes the stored location. */
  async forget({ repository, digest }: Pick<WantedBlob, 'repository' | 'digest'>): Promise<void> {
    await this.#bus.call(dropSession, { repository, digest }, PATIENCE);
  }

  /** @returns `mounted`; or a session, if the parent opened one because it could not mount */
  async #mount(pushClient: PushClient, wanted: WantedBlob): Promise<'mounted' | UploadSession | undefined> {
    const { repository, digest } = wanted;
    const candidates = this.#from;
    this.#from = [];
    let spare: UploadSession | undefined;
    for (const from of candidates) {
      const answer = await pushClient.uploads.mount(repository, digest, from, this.#signal).catch((error) => {
        // The login may write to this repository and yet not read that one.
        if (Fault.is(error, 'parent-refused')) return undefined;
        throw error;
      });
      if (spare) await this.#cancel(pushClient, wanted, spare);
      if (answer === 'mounted') return answer;
      spare = answer;
    }
    return spare;
  }

  /** The stored session, if the parent still has it and it fits the blob. */
  async #stored(
    pushClient: PushClient,
    wanted: WantedBlob,
    state: BlobUploadState,
  ): Promise<UploadSession | undefined> {
    const { repository, digest, size } = wanted;
    const { plan, session: known, hasSent } = state;
    const { location, offset: stored } = await this.#bus.call(getSession, { repository, digest }, PATIENCE);
    if (location === undefined) return undefined;
    if (plan.method !== 'pieces') {
      await this.#cancel(pushClient, wanted, { location });
      return undefined;
    }
    const { uploads } = pushClient;
    const certain = known?.location === location ? known : undefined;
    const found = await uploads.findSession(repository, location, this.#signal);
    // A parent that does not report on sessions is believed to have what it took.
    const { hasStatus } = uploads.capabilities;
    const session = found ?? (hasStatus ? undefined : certain);
    if (!session) {
      // Sent by an earlier process. If the parent has received more since, it refuses what follows.
      const isUsable = hasStatus === false && !hasSent && stored !== undefined && stored <= size;
      if (!isUsable) return undefined;
      state.isOffsetAssumed = true;
      return { location, offset: stored };
    }
    // More than was sent is never true.
    const offset = Math.min(session.offset, certain?.offset ?? size + 1);
    if (offset > size) return undefined;
    if (session.location !== location) await this.store(wanted, session);
    return { ...session, offset };
  }

  async #cancel(
    pushClient: PushClient,
    { repository }: WantedBlob,
    { location }: Pick<UploadSession, 'location'>,
  ): Promise<void> {
    await pushClient.uploads.cancel(repository, location, this.#signal).catch(() => {});
  }
}
