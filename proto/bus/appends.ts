import { Fault } from '../contract/fault.ts';
import { MAX_APPENDED, PAGE_BYTES } from '../jetstream/store-requests.ts';

type Append = { id: string; bytes: Uint8Array; done: PromiseWithResolvers<number> };
type Run = { subject: string; bytes: number; appends: Append[] };

/** Sends events of one subject that follow each other in one turn of the event loop with one request. */
export class Appends {
  readonly #send: (subject: string, events: { id: string; bytes: Uint8Array }[]) => Promise<number[]>;
  #runs: Run[] = [];

  /** @param send resolves with the sequences of the events */
  constructor(send: (subject: string, events: { id: string; bytes: Uint8Array }[]) => Promise<number[]>) {
    this.#send = send;
  }

  /** Requests are sent in the order of the calls. @returns the sequence of the event */
  append(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    const done = Promise.withResolvers<number>();
    const last = this.#runs.at(-1);
    const fits =
      last?.subject === subject &&
      last.appends.length < MAX_APPENDED &&
      last.bytes + bytes.byteLength <= PAGE_BYTES;
    if (fits) {
      last.appends.push({ id, bytes, done });
      last.bytes += bytes.byteLength;
    } else {
      this.#runs.push({ subject, bytes: bytes.byteLength, appends: [{ id, bytes, done }] });
      if (this.#runs.length === 1) process.nextTick(() => this.#flush());
    }
    return done.promise;
  }

  #flush(): void {
    const runs = this.#runs;
    this.#runs = [];
    for (const { subject, appends } of runs) void this.#request(subject, appends);
  }

  async #request(subject: string, appends: Append[]): Promise<void> {
    try {
      const sequences = await this.#send(
        subject,
        appends.map(({ id, bytes }) => ({ id, bytes })),
      );
      for (const [i, { done }] of appends.entries()) done.resolve(sequences[i] ?? 0);
    } catch (error) {
      // One event that storage refuses must not take the others along.
      if (appends.length > 1 && Fault.is(error, 'malformed', 'too-large', 'internal')) {
        for (const one of appends) await this.#request(subject, [one]);
        return;
      }
      for (const { done } of appends) done.reject(error);
    }
  }
}
