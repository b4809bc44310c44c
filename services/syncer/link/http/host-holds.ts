import type { Backoff } from '#proto/async/backoff.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Log } from '#proto/contract/log.ts';
import { HostHold, type Turn } from './host-hold.ts';

/** Max hosts and directions that are remembered. */
const MAX_HOLDS = 200;

/** A hold for each host and direction: a limit of pulls does not hold back pushes. */
export class HostHolds {
  readonly #log: Pick<Log, 'warn'> | undefined;
  readonly #backoff: Backoff | undefined;
  readonly #holds = new BoundedMap<HostHold>(MAX_HOLDS);

  constructor(log?: Pick<Log, 'warn'>, backoff?: Backoff) {
    this.#log = log;
    this.#backoff = backoff;
  }

  /** Waits until a request may be sent, see `HostHold.enter`. */
  async enter(
    { origin, host, pathname }: URL,
    method: string,
    what: string,
    signal: AbortSignal,
  ): Promise<Turn> {
    const isWrite = method !== 'GET' && method !== 'HEAD';
    const key = `${origin} ${isWrite}`;
    let hold = this.#holds.get(key);
    if (!hold) {
      hold = new HostHold({
        host,
        isWrite,
        log: this.#log,
        ...(this.#backoff && { backoff: this.#backoff }),
      });
      this.#holds.set(key, hold);
    }
    return hold.enter(what, signal, `${method} ${resourceOf(pathname)}`);
  }
}

/** Words of paths in the API of a registry, by which it may limit requests. */
const RESOURCE = /\/(manifests|blobs\/uploads|blobs|tags|referrers)\//;

const resourceOf = (pathname: string): string => RESOURCE.exec(pathname)?.[1] ?? '';
