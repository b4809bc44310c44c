import { Fault } from '#proto/contract/fault.ts';
import type { BlobFile } from '#proto/volume/volume.ts';
import type { RequestBody } from '../link/http/sending.ts';
import type { PushClient } from '../link/parent/push-client.ts';
import type { UploadSession } from '../link/parent/session.ts';
import type { WantedBlob } from './download.ts';
import type { SendRate } from './send-rate.ts';
import type { Slots } from './slots.ts';

/** Bytes that are read from the file at a time. */
const READ_BYTES = 256 * 1024;
/** Min rate at which a parent is assumed to assemble and hash an upload, in bytes/s. */
const MIN_HASH_RATE = 10 * 1024 * 1024;

export type UploadDeps = {
  pushClient: Pick<PushClient, 'append' | 'finish'>;
  file: BlobFile;
  /** Connections, shared by all transfers of this process. */
  slots: Slots;
  pace: SendRate;
  /** When the window closes, in ms since 1970. */
  until: number | undefined;
  /** Called before each request. @throws Fault `claim-lost` */
  ensureHeld: () => Promise<void>;
  /** Aborts when no request may begin any more. */
  signal: AbortSignal;
  /** Aborts the active requests, later than `signal`. */
  requestSignal: AbortSignal;
  /** Called with the session of each answer of the parent, before the next request. */
  onSession: (session: UploadSession) => Promise<void>;
};

/** Sends a blob piece by piece: one request at a time, each from the offset that the parent reported last. */
export class Upload {
  readonly #wanted: WantedBlob;
  readonly #deps: UploadDeps;

  constructor(wanted: WantedBlob, deps: UploadDeps) {
    this.#wanted = wanted;
    this.#deps = deps;
  }

  /**
   * Sends all but the last piece, which goes with the request that ends the upload.
   * @throws Fault; `window-closed` if the next piece would not end in time
   */
  async run(begun: UploadSession): Promise<UploadSession> {
    const { repository, digest, size } = this.#wanted;
    const { pushClient, onSession, requestSignal } = this.#deps;
    let session = begun;
    for (;;) {
      const left = size - session.offset;
      const bytes = this.#piece(left);
      if (left <= bytes) return session;
      const { offset } = session;
      session = await this.#timed(
        bytes,
        (body) => pushClient.append(repository, session, body, requestSignal),
        offset,
      );
      if (session.offset > size) {
        throw new Fault(
          'parent-invalid',
          `the parent reports ${session.offset} bytes of ${digest}, which has ${size}`,
        );
      }
      await onSession(session);
      // It may retain less than it was sent, but each request has to make progress.
      if (session.offset <= offset) {
        throw new Fault(
          'parent-unreachable',
          `the upload makes no progress: the parent has ${session.offset} bytes of ${digest}`,
        );
      }
    }
  }

  /** Sends the remaining bytes and ends the upload. @throws Fault `window-closed`; see also `PushClient.finish` */
  async finish(session: UploadSession): Promise<void> {
    const { repository, digest, size } = this.#wanted;
    const left = size - session.offset;
    this.#piece(left);
    const send = (body: RequestBody) =>
      this.#deps.pushClient.finish(repository, digest, session, body, this.#deps.requestSignal);
    await this.#timed(left, send, session.offset, (size * 1_000) / MIN_HASH_RATE);
  }

  #piece(left: number): number {
    const { pace, until } = this.#deps;
    const bytes = pace.piece(left, until);
    if (bytes === undefined) {
      throw new Fault('window-closed', `${this.#wanted.digest} continues when the window opens`);
    }
    return bytes;
  }

  async #timed<T>(
    size: number,
    send: (body: RequestBody) => Promise<T>,
    offset: number,
    extraMs = 0,
  ): Promise<T> {
    const { slots, pace, signal, ensureHeld } = this.#deps;
    using _slot = await slots.take();
    await ensureHeld();
    signal.throwIfAborted();
    const began = performance.now();
    const bytes = () => this.#read(offset, offset + size);
    try {
      // When the socket accepts the last byte, the bytes in the buffers on the way have not arrived yet.
      const answer = await send({ size, bytes, slackMs: 2 * pace.ms(size) + extraMs });
      pace.sent(size, performance.now() - began);
      return answer;
    } catch (error) {
      if (!signal.aborted) {
        pace.failed();
        slots.gauge.failed(error);
      }
      throw error;
    }
  }

  async *#read(start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; ) {
      const part = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
      if ((await this.#deps.file.read(part, at)) < part.length) {
        throw new Fault(
          'size-invalid',
          `${this.#wanted.digest} is shorter here than its ${this.#wanted.size} bytes`,
        );
      }
      yield part;
      // The next part is requested: this one is on the link, or in its buffers.
      this.#deps.slots.gauge.moved(part.length);
      at += part.length;
    }
  }
}
