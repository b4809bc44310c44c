import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Bus } from '#proto/bus/bus.ts';
import { imageFinished } from '#proto/sync/passes.ts';
import { quiet } from '../../cli/connection/connect.ts';
import { dataFolder } from '../../cli/data/data-folder.ts';

/** Events per second. */
export const EVENTS_PER_SECOND = 1_000;
const TICK_MS = 20;

/** Publishes events through the bus of a layer as one of its syncers does, at a fixed rate, until it is disposed. */
export class EventSource implements AsyncDisposable {
  readonly #bus: Bus;
  readonly #timer: NodeJS.Timeout;
  #published = 0;
  /** Events that storage has stored. */
  stored = 0;

  static async start(data: string): Promise<EventSource> {
    const folder = dataFolder(data);
    const read = async (path: string) => (await readFile(path, 'utf8')).trim();
    const [url, password] = await Promise.all([read(folder.busUrl), read(folder.password('syncer'))]);
    // Ids of events have the instance: those of an earlier one would be taken for duplicates.
    const about = { layer: 'bench', instance: `bench-${randomUUID()}`, log: quiet };
    return new EventSource(await Bus.connect({ url, user: 'syncer', password, ...about }));
  }

  private constructor(bus: Bus) {
    this.#bus = bus;
    const start = performance.now();
    this.#timer = setInterval(() => {
      const due = ((performance.now() - start) * EVENTS_PER_SECOND) / 1_000;
      while (this.#published < due) this.#publish();
    }, TICK_MS);
  }

  #publish(): void {
    this.#published += 1;
    const number = String(this.#published);
    const image = {
      pass: 'bench',
      repository: `line/${Number(number) % 50}`,
      tag: number,
      digest: `sha256:${number.padStart(64, '0')}`,
      direction: 'down' as const,
    };
    this.#bus.publish(imageFinished, image, () => {
      this.stored += 1;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#bus[Symbol.asyncDispose]();
  }
}
