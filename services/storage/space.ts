import type { Log } from '#proto/log.ts';
import { noSpace, RESERVE, spaceOf } from '#proto/space.ts';
import { type Space, spaceChanged } from '#proto/upkeep.ts';
import { Ballast } from './ballast.ts';
import type { Publish } from './storage.ts';

/** How long what was found counts, and how often it is looked at where nobody asks, in ms. */
const FRESH_MS = 500;
const LOOK_MS = 5_000;
/** So much of the reserve must be free before anything new is taken again. */
const ENOUGH = 1.05;

/** Watches the free space of the data volume: below the reserve nothing new is taken; all else goes on. */
export class SpaceGuard implements Disposable {
  readonly #data: string;
  readonly #publish: Publish;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  readonly #ballast: Ballast;
  #reserve = RESERVE;
  #found: { space: Promise<Space>; at: number } | undefined;
  #low: boolean | undefined;

  constructor(data: string, publish: Publish, log: Log) {
    this.#data = data;
    this.#publish = publish;
    this.#log = log;
    this.#ballast = new Ballast(data);
    const trim = () => {
      this.#trim().catch((err) => log.warn({ err }, 'the free space of the data volume is not known'));
    };
    this.#timer = setInterval(trim, LOOK_MS).unref();
  }

  set reserve(bytes: number) {
    this.#reserve = bytes;
    this.#found = undefined;
  }

  /** As it is now, or was a moment ago. */
  look(): Promise<Space> {
    const now = performance.now();
    if (!this.#found || now - this.#found.at >= FRESH_MS) {
      const space = spaceOf(this.#data, this.#reserve).then((found) => this.#note(found));
      this.#found = { space, at: now };
    }
    return this.#found.space;
  }

  /** Makes room for metadata where somebody else has filled the volume to the brim. */
  async giveBack(): Promise<void> {
    const { free } = await this.look();
    if (!(await this.#ballast.giveBack(free))) return;
    this.#found = undefined;
    this.#log.error({ free }, 'the data volume is full: the space that was held for deletions is given back');
  }

  /** @throws Fault `no-space` below the reserve */
  async mustHaveRoom(): Promise<void> {
    const space = await this.look();
    if (space.low) throw noSpace(space);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #trim(): Promise<void> {
    await this.giveBack();
    const { free, reserve } = await this.look();
    await this.#ballast.take(free, reserve);
  }

  #note(found: Space): Space {
    const was = this.#low ?? false;
    // A little more than the reserve ends it, so that it does not come and go with each upload.
    const space = { ...found, low: found.low || (was && found.free < found.reserve * ENOUGH) };
    if (space.low !== was) {
      if (space.low) this.#log.warn(space, 'the data volume is almost full: nothing new is taken');
      else this.#log.info(space, 'the data volume has room again');
      this.#publish(spaceChanged, space);
    }
    this.#low = space.low;
    return space;
  }
}
