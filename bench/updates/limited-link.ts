import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileEmulator, EmulatedLink, emulationFailure } from '../link/emulated-link.ts';
import { CountingProxy } from './counting-proxy.ts';
import type { Link, LinkLimits, OpenLink } from './peers/peer.ts';

const PORT = 5_000;
/** Time in which the forwarder starts; a check over the link would be traffic on it. */
const START_MS = 1_500;

/**
 * Opens links that count. From the moment they are limited, they are emulated ones (`EmulatedLink`): first, the proxy
 * connects to the registry itself; then over the link to a forwarder beyond it (forward.ts), which reaches the registry
 * through a socket in the folder.
 * @throws Error if links can't be emulated here
 */
export function linkOpener(folder: string, limits: LinkLimits | undefined): OpenLink {
  if (!limits) return async (target) => new CountedLink(await CountingProxy.start(target));
  const failure = emulationFailure();
  if (failure) throw new Error(`a link can't be emulated: ${failure}`);
  const emulator = compileEmulator(folder);
  let links = 0;
  return async (target) => {
    links += 1;
    const socket = join(folder, `${links}.sock`);
    const emulate = async (stack: AsyncDisposableStack) => {
      stack.use(await CountingProxy.start(target, socket));
      const link = stack.use(await EmulatedLink.create(emulator, { ...limits, congestion: 'cubic' }));
      const host = `${link.address}:${PORT}`;
      const script = join(import.meta.dirname, 'forward.ts');
      const forwarder = link.spawnAtParent(process.execPath, [script, host, socket]);
      stack.defer(async () => {
        const exit = once(forwarder, 'exit');
        if (forwarder.kill('SIGKILL')) await exit;
      });
      await sleep(START_MS);
      if (forwarder.exitCode !== null) throw new Error('the forwarder beyond the link ended');
      return host;
    };
    return new CountedLink(await CountingProxy.start(target), { emulate, rate: (limits.mbit * 1e6) / 8 });
  };
}

/** `emulate` returns `host:port` beyond the link; its rate is in bytes a second. */
type Limited = { emulate: (stack: AsyncDisposableStack) => Promise<string>; rate: number };

class CountedLink implements Link {
  readonly #proxy: CountingProxy;
  readonly #stack = new AsyncDisposableStack();
  readonly #limited: Limited | undefined;

  constructor(proxy: CountingProxy, limited?: Limited) {
    this.#proxy = this.#stack.use(proxy);
    this.#limited = limited;
  }

  get host(): string {
    return this.#proxy.host;
  }

  async limit(): Promise<number | undefined> {
    if (this.#limited) this.#proxy.route(await this.#limited.emulate(this.#stack));
    return this.#limited?.rate;
  }

  bytesOf(work: () => Promise<unknown>): Promise<number> {
    return this.#proxy.bytesOf(work);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
