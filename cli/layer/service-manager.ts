import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { unhealthyServices, unhealthyText } from '../connection/service-health.ts';

/**
 * Reports to the service manager that started this process, by the protocol of sd_notify(3): ready, stopping, a line of
 * status, and the watchdog's keep-alive while the services are healthy. Node has no datagram sockets of this kind, so
 * `systemd-notify` sends: a process of 2 ms, a few times a minute.
 */

/** Max time for a message to be sent, in ms. */
const SEND_MS = 5_000;
/** Extends the time that the start may take whenever it is known to go on, in µs. */
const EXTEND_US = 30_000_000;
/** Messages in the time after which the manager restarts a layer that is not healthy. */
const KEEP_ALIVES = 4;
/** Min time between two of them, in ms. */
const MIN_KEEP_ALIVE_MS = 500;
/** The answer of a service to which nothing else can be said: restarting the layer may help. */
const DEAF = /^$|the bus does not answer/;

type ManagerDeps = {
  env: NodeJS.ProcessEnv;
  /** The data folder, absolute. */
  data: string;
  warn: (message: string) => void;
};

export class ServiceManager {
  readonly #deps: ManagerDeps;
  #isUnusable = false;

  /** Undefined if no service manager expects reports. */
  static of(deps: ManagerDeps): ServiceManager | undefined {
    return deps.env.NOTIFY_SOCKET ? new ServiceManager(deps) : undefined;
  }

  private constructor(deps: ManagerDeps) {
    this.#deps = deps;
  }

  /** The start goes on: `missing` do not serve yet. */
  waiting(missing: string[]): Promise<void> {
    return this.#send(`STATUS=Waiting for ${missing.join(', ')}`, `EXTEND_TIMEOUT_USEC=${EXTEND_US}`);
  }

  ready(status: string): Promise<void> {
    return this.#send('READY=1', `STATUS=${status}`);
  }

  stopping(): Promise<void> {
    return this.#send('STOPPING=1', 'STATUS=Stopping');
  }

  /**
   * Sends keep-alives until `signal` aborts, if the manager has a watchdog for this process. A service that answers why
   * it does not serve, as it waits for an operator, is no reason for a restart.
   */
  async keepAlive(status: string, signal: AbortSignal): Promise<void> {
    const { env, data, warn } = this.#deps;
    const limitUs = Number(env.WATCHDOG_USEC);
    if (!(limitUs > 0) || (env.WATCHDOG_PID && Number(env.WATCHDOG_PID) !== process.pid)) return;
    const everyMs = Math.max(MIN_KEEP_ALIVE_MS, limitUs / 1_000 / KEEP_ALIVES);
    for (let reported = ''; !signal.aborted; ) {
      const unhealthy = await unhealthyServices(data);
      const why = unhealthyText(unhealthy);
      const isAlive = ![...unhealthy.values()].some((reason) => DEAF.test(reason));
      if (why !== reported && why) warn(`not healthy: ${why}`);
      await this.#send(...(isAlive ? ['WATCHDOG=1'] : []), `STATUS=${why ? `Not healthy: ${why}` : status}`);
      reported = why;
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Never rejects: a layer that can't report runs all the same. */
  async #send(...lines: string[]): Promise<void> {
    if (this.#isUnusable) return;
    const { env, warn } = this.#deps;
    await new Promise<void>((resolve) => {
      execFile('systemd-notify', lines, { env, timeout: SEND_MS }, (error) => {
        if (error) {
          this.#isUnusable = error.code === 'ENOENT';
          const remedy = this.#isUnusable ? ': install systemd, or unset NOTIFY_SOCKET' : '';
          warn(`the service manager can't be notified (${error.message.trim()})${remedy}`);
        }
        resolve();
      });
    });
  }
}

/** The environment for the processes of the layer, none of which reports to the service manager. */
export function withoutManager(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET: _socket, WATCHDOG_USEC: _limit, WATCHDOG_PID: _pid, ...rest } = env;
  return rest;
}
