import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { buildConnector } from 'undici';

type Connect = buildConnector.connector;
type Target = buildConnector.Options;
type Callback = buildConnector.Callback;

/** Unused time after which a spare connection is closed, in ms. */
const MAX_IDLE_MS = 15_000;
/** Round trips of which the shortest counts: one may include the repetition of a lost packet. */
const MAX_ROUND_TRIPS = 8;

/**
 * Connections that are opened before a request needs them, so that it does not wait for their handshakes. Also measures
 * the round trip of the link, by the handshakes of TCP, and reads when the certificate of the other side ends.
 */
export class SpareConnections {
  readonly #open: Connect;
  readonly #spares = new Map<string, Set<SpareConnection>>();
  readonly #roundTrips: number[] = [];
  /** When the certificate of the host that was last connected to ends, in ms since 1970; undefined without TLS. */
  certificateEnds: number | undefined;

  constructor(open: Connect) {
    this.#open = open;
  }

  /** In ms; undefined before the first connection. */
  get roundTripMs(): number | undefined {
    return this.#roundTrips.toSorted((a, b) => a - b)[0];
  }

  /** The function by which undici connects: hands over a spare connection, or opens one. */
  readonly connect: Connect = (target, callback) => {
    const [spare] = this.#spares.get(keyOf(target)) ?? [];
    if (spare) spare.take(callback);
    else this.#connect(target, callback);
  };

  /** Opens connections until there are `count` spare ones. */
  prepare({ protocol, host, hostname, port }: URL, count: number): void {
    const target: Target = { protocol, host, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port };
    const key = keyOf(target);
    const spares = this.#spares.get(key) ?? new Set();
    this.#spares.set(key, spares);
    while (spares.size < count) {
      const open = (callback: Callback) => this.#connect(target, callback);
      const spare = new SpareConnection(open, () => {
        spares.delete(spare);
        if (spares.size === 0 && this.#spares.get(key) === spares) this.#spares.delete(key);
      });
      spares.add(spare);
    }
  }

  /** Closes the spare connections. */
  clear(): void {
    for (const spares of [...this.#spares.values()]) for (const spare of [...spares]) spare.close();
  }

  #connect(target: Target, callback: Callback): void {
    let begun = performance.now();
    const socket = this.#open(target, callback) as unknown as Socket | undefined;
    socket?.once('lookup', () => {
      begun = performance.now();
    });
    socket?.once('connect', () => {
      this.#roundTrips.push(performance.now() - begun);
      if (this.#roundTrips.length > MAX_ROUND_TRIPS) this.#roundTrips.shift();
    });
    socket?.once('secureConnect', () => {
      const ends = Date.parse((socket as TLSSocket).getPeerX509Certificate()?.validTo ?? '');
      if (!Number.isNaN(ends)) this.certificateEnds = ends;
    });
  }
}

/** One spare connection. If anything arrives on it, or it ends, before a request takes it, it is closed. */
class SpareConnection {
  readonly #onEnd: () => void;
  readonly #timer: NodeJS.Timeout;
  #socket: Socket | undefined;
  #taker: Callback | undefined;
  #isClosed = false;

  /** @param onEnd called once, when the connection is no spare one any more */
  constructor(open: (callback: Callback) => void, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#timer = setTimeout(this.close, MAX_IDLE_MS).unref();
    open((...opened) => this.#opened(...opened));
  }

  /** Hands the connection over, once it is open. */
  take(callback: Callback): void {
    this.#end();
    const socket = this.#socket;
    if (!socket) {
      this.#taker = callback;
      return;
    }
    socket.off('readable', this.#onReadable).off('close', this.close).ref();
    // Undici expects no connection before its call has returned.
    queueMicrotask(() => callback(null, socket));
  }

  readonly close = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#end();
    this.#socket?.destroy();
  };

  readonly #onReadable = (): void => {
    if (this.#socket?.read() !== null) this.close();
  };

  #opened(...[error, socket]: Parameters<Callback>): void {
    if (this.#taker) {
      if (socket) this.#taker(null, socket);
      else this.#taker(error, null);
    } else if (!socket || this.#isClosed) {
      socket?.destroy();
      // Not before the constructor has ended.
      queueMicrotask(this.close);
    } else {
      this.#socket = socket;
      socket.unref();
      socket.on('readable', this.#onReadable).on('close', this.close);
    }
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#onEnd();
  }
}

const keyOf = ({ protocol, hostname, port }: Target): string =>
  `${protocol}//${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
