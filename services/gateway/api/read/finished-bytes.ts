import type { EventListener } from '#proto/bus/roles.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { crossingBytes, savedBytes } from '#proto/sync/crossing.ts';
import { imageFailed, imageFinished, imageStarted } from '#proto/sync/passes.ts';
import { type Direction, transferFinished } from '#proto/sync/transfers.ts';

/** Max repositories and directions that are followed, and images of one. */
const MAX_FOLLOWED = 1_000;
const MAX_IMAGES = 100;

type Followed = {
  running: Set<string>;
  /** Several images were on their way at a time: it is not known whose a blob was. */
  isMixed: boolean;
} & Finished;

/** Bytes of blobs that are complete: those that crossed the link, and those that did not, as deltas did. */
export type Finished = { bytes: number; saved: number };

/** What is complete of images that are still on their way. */
export class FinishedBytes {
  readonly #followed = new BoundedMap<Followed>(MAX_FOLLOWED);

  constructor(bus: EventListener) {
    bus.listen(imageStarted, ({ data }) => {
      const key = keyOf(data.direction, data.repository);
      const followed = this.#followed.get(key) ?? { running: new Set(), isMixed: false, bytes: 0, saved: 0 };
      if (followed.running.size < MAX_IMAGES) followed.running.add(nameOf(data));
      if (followed.running.size > 1) followed.isMixed = true;
      this.#followed.set(key, followed);
    });
    bus.listen(transferFinished, ({ data }) => {
      const followed = this.#followed.get(keyOf(data.direction, data.repository));
      if (!followed) return;
      followed.bytes += crossingBytes(data);
      followed.saved += savedBytes(data);
    });
    bus.listen(imageFinished, ({ data }) => this.#end(data.repository, nameOf(data)));
    bus.listen(imageFailed, ({ data }) => this.#end(data.repository, nameOf(data)));
  }

  /** @returns undefined if they are not known */
  of(repository: string, direction: Direction): Finished | undefined {
    const followed = this.#followed.get(keyOf(direction, repository));
    return followed && !followed.isMixed ? followed : undefined;
  }

  #end(repository: string, name: string): void {
    for (const direction of ['down', 'up'] as const) {
      const key = keyOf(direction, repository);
      const followed = this.#followed.get(key);
      if (followed?.running.delete(name) && followed.running.size === 0) this.#followed.delete(key);
    }
  }
}

const keyOf = (direction: Direction, repository: string): string => `${direction} ${repository}`;
const nameOf = ({ tag, digest }: { tag: string | null; digest?: string | undefined }): string =>
  tag ?? digest ?? '';
