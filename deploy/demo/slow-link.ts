import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Max time by which a link is ahead of its rate, in ms. */
const AHEAD_MS = 20;

/** A link between a layer and its parent: a TCP proxy with a rate, which can be cut and restored. */
export class SlowLink implements AsyncDisposable {
  /** Bits a second, both directions together. */
  readonly bitsPerSecond: number;
  /** Bytes that have crossed it towards the layer, with everything that is not content. */
  down = 0;
  /** The same, towards the parent. */
  up = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: { down: number; passed: () => void }[] = [];
  #isCut = false;
  /** When the next bytes may cross, by `performance.now()`. */
  #next = 0;

  /** @param parent `host:port` */
  static async to(parent: string, bitsPerSecond: number): Promise<SlowLink> {
    const [host, port] = parent.split(':') as [string, string];
    const link = new SlowLink(host, Number(port), bitsPerSecond);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  private constructor(host: string, port: number, bitsPerSecond: number) {
    this.bitsPerSecond = bitsPerSecond;
    this.#server = createServer((child) => {
      if (this.#isCut) return void child.destroy();
      const parent = connect(port, host);
      this.#carry(parent, child, 'down');
      this.#carry(child, parent, 'up');
    });
  }

  /** The parent's URL for the layer. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All connections end, and every new one does at once. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  restore(): void {
    this.#isCut = false;
  }

  /** Resolves when this number of further bytes has crossed it towards the layer. */
  carried(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ down: this.down + bytes, passed: resolve });
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#server.close(closed));
  }

  #carry(from: Socket, to: Socket, direction: 'down' | 'up'): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on('end', () => to.end());
    from.on('data', (chunk: Buffer) => {
      from.pause();
      this.#pass(chunk, to, direction).then(
        () => from.resume(),
        () => from.destroy(),
      );
    });
  }

  async #pass(chunk: Buffer, to: Socket, direction: 'down' | 'up'): Promise<void> {
    const now = performance.now();
    this.#next = Math.max(this.#next, now - AHEAD_MS) + (chunk.length * 8_000) / this.bitsPerSecond;
    if (this.#next > now) await sleep(this.#next - now);
    if (this.#isCut || to.destroyed) return;
    this[direction] += chunk.length;
    if (!to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
    for (const one of this.#waiting.splice(0)) {
      if (this.down >= one.down) one.passed();
      else this.#waiting.push(one);
    }
  }
}
