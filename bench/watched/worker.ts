import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** A file of this folder in a thread of its own, so that it measures and reads while others compute. */
export class Thread implements AsyncDisposable {
  readonly #worker: Worker;

  /** @param file its name @param data what it gets as `workerData` */
  constructor(file: string, data: unknown) {
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: data });
  }

  /** Its next message. @throws what it threw */
  async message<T>(): Promise<T> {
    const [message] = (await once(this.#worker, 'message')) as [T];
    return message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
