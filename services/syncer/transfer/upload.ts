import { Fault } from '#proto/contract/fault.ts';
import type { BlobFile } from '#proto/volume/volume.ts';
import { isStatus } from '../link/answers/retry.ts';
import type { RequestBody } from '../link/http/sending.ts';
import type { BlobUploadState } from '../link/parent/blob-upload-state.ts';
import type { UploadSession } from '../link/parent/session.ts';
import type { UploadClient } from '../link/parent/upload-client.ts';
import { type FailedRequest, failureKind } from '../link/parent/upload-plan.ts';
import type { WantedBlob } from './download.ts';
import type { SendRate } from './pace/send-rate.ts';
import type { Slots } from './slots.ts';

/** Bytes that are read from the file at a time. */
const READ_BYTES = 256 * 1024;
/** Min rate at which a parent is assumed to assemble and hash an upload, in bytes/s. */
const MIN_HASH_RATE = 10 * 1024 * 1024;

/** Statuses with which a parent has taken nothing of a request. */
const NOT_TAKEN = [413, 429, 503];

type SentRequest = Omit<FailedRequest, 'kind' | 'status'>;

export type UploadDeps = {
  uploads: Pick<UploadClient, 'append' | 'finish' | 'confirm'>;
  /** How the blob is sent to this parent. */
  state: BlobUploadState;
  /** Whether the parent has the blob now. */
  isPresent: () => Promise<boolean>;
  /** @throws Fault `digest-invalid` if the blob is damaged here */
  verify: () => Promise<void>;
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
  /** Called when bytes of the blob, from `start` to `end`, are on the link. */
  onSent?: (start: number, end: number) => void;
  /** Called with the session of each answer of the parent, before the next request. */
  onSession: (session: UploadSession) => Promise<void>;
};

/**
 * Sends a blob, one request at a time, each from the offset that the parent has: in pieces, or as the parent takes it
 * (`nextStep`).
 */
export class Upload {
  readonly #wanted: WantedBlob;
  readonly #deps: UploadDeps;

  constructor(wanted: WantedBlob, deps: UploadDeps) {
    this.#wanted = wanted;
    this.#deps = deps;
  }

  /**
   * Sends what goes before the request that ends the upload: all but the last piece; everything, or nothing.
   * @throws Fault; `window-closed` if the next piece would not end in time, `upload-unknown` if a new session is needed
   */
  async run(begun: UploadSession): Promise<UploadSession> {
    const { repository, size } = this.#wanted;
    const { uploads, state, onSession, requestSignal } = this.#deps;
    for (let session = begun; ; ) {
      const { offset } = session;
      const isComplete = state.plan.method === 'patch';
      const left = size - offset;
      const bytes = this.#piece(left);
      if (state.plan.method === 'put' || (left <= bytes && (!isComplete || left === 0))) return session;
      const taken = await this.#attempt({ offset, bytes, isFinal: false }, (body) =>
        uploads.append(repository, session, body, requestSignal, isComplete),
      );
      if (taken === undefined || taken === 'present') continue;
      // It may retain less than it was sent, but each request has to make progress.
      if (taken.offset - offset >= bytes / 2 && taken.offset <= size) state.taken(bytes, taken.offset);
      else await this.#decide(this.#noProgress(taken), { offset, bytes, isFinal: false });
      session = taken;
      state.session = session;
      await onSession(session);
    }
  }

  /**
   * Sends the remaining bytes and ends the upload.
   * @returns false if they have to be sent in smaller pieces
   * @throws Fault `window-closed`; see also `run`
   */
  async finish(session: UploadSession): Promise<boolean> {
    const { repository, digest, size } = this.#wanted;
    const { uploads, requestSignal, signal } = this.#deps;
    const { offset } = session;
    const left = size - offset;
    this.#piece(left);
    const extraMs = (size * 1_000) / MIN_HASH_RATE;
    const request = { offset, bytes: left, isFinal: true };
    const finished = await this.#attempt(
      request,
      (body) => uploads.finish(repository, digest, session, body, requestSignal),
      extraMs,
    );
    if (!finished) return false;
    if (finished !== 'present') {
      const confirming = uploads.confirm(repository, digest, finished, signal);
      await confirming.catch((error) => this.#decide(error, request));
    }
    this.#deps.state.completed();
    return true;
  }

  #piece(left: number): number {
    const { pace, until, state } = this.#deps;
    const { method, min, max } = state.plan;
    const bytes = pace.piece(
      left,
      until,
      Date.now(),
      method === 'pieces' ? { min, max } : { min: left, max: left },
    );
    if (bytes === undefined) {
      const minutes = Math.ceil(pace.ms(left) / 60_000);
      const why =
        method === 'pieces'
          ? 'continues when the window opens'
          : `goes in one request only, which takes about ${minutes} min: it needs a longer window`;
      throw new Fault('window-closed', `${this.#wanted.digest} ${why}`);
    }
    return bytes;
  }

  #noProgress({ offset }: UploadSession): Fault {
    const { digest, size } = this.#wanted;
    const message = `the upload makes no progress: the parent reports ${offset} bytes of ${digest}, which has ${size}`;
    return new Fault('upload-unknown', message, { detail: { status: 416, stuck: true } });
  }

  /** @returns undefined if the request has to be repeated as its plan has it */
  async #attempt<T>(
    request: SentRequest,
    send: (body: RequestBody) => Promise<T>,
    extraMs = 0,
  ): Promise<T | 'present' | undefined> {
    this.#deps.state.hasSent = true;
    try {
      return await this.#timed(request.bytes, send, request.offset, extraMs);
    } catch (error) {
      if (!isStatus(error, ...NOT_TAKEN)) this.#deps.state.session = undefined;
      // The parent may have the blob, although the answer says otherwise.
      if (request.isFinal && failureKind(error) && (await this.#deps.isPresent())) return 'present';
      await this.#decide(error, request);
      return undefined;
    }
  }

  /** @throws unless the request is to be repeated in this session */
  async #decide(error: unknown, request: SentRequest): Promise<void> {
    const { state, verify, signal } = this.#deps;
    if (signal.aborted) throw error;
    // Content that is damaged here is rejected by every method.
    if (failureKind(error) === 'rejected') await verify();
    if (state.failed(error, request) === 'repeat') return;
    const { message, detail } = error as Fault;
    throw new Fault('upload-unknown', message, { cause: error, ...(detail && { detail }) });
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
    let read = 0;
    const bytes = () => this.#read(offset, offset + size, (length) => (read += length));
    try {
      // When the socket accepts the last byte, the bytes in the buffers on the way have not arrived yet.
      const answer = await send({ size, bytes, slackMs: 2 * pace.ms(size) + extraMs });
      pace.sent(size, performance.now() - began);
      return answer;
    } catch (error) {
      // The window closed, or the process ends: what went out until then measures the link, too.
      if (signal.aborted) pace.sent(read, performance.now() - began);
      else {
        // A refusal says nothing about the link.
        if (!Fault.is(error, 'parent-refused', 'upload-unknown')) pace.failed();
        slots.gauge.failed(error);
      }
      throw error;
    }
  }

  async *#read(start: number, end: number, onMoved: (length: number) => void): AsyncGenerator<Buffer> {
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
      this.#deps.onSent?.(at, at + part.length);
      onMoved(part.length);
      at += part.length;
    }
  }
}
