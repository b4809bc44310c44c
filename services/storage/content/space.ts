import type { Bus } from '#proto/bus/bus.ts';
import { type Space, spaceChanged } from '#proto/content/maintenance.ts';
import type { Log } from '#proto/contract/log.ts';
import { Ballast } from '#proto/volume/ballast.ts';
import { noSpace, RESERVE, spaceOf } from '#proto/volume/space.ts';

/** How long what was found counts, and how often it is looked at where nobody asks, in ms. */
const FRESH_MS = 500;
const POLL_MS = 5_000;
/** So much of the reserve must be free before anything new is taken again. */
const ENOUGH = 1.05;
/** Metadata make and drop a few files all the time. */
const ENOUGH_INODES = 32;

/** Watches the free space and inodes of the data volume: below the reserve nothing new is taken; all else goes on. */
export class SpaceGuard implements AsyncDisposable {
  readonly #data: string;
  readonly #publish: Bus['publish'];
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  readonly #ballast: Ballast;
  #reserve = RESERVE;
  #found: { space: Promise<Space>; at: number } | undefined;
  /** How many were let in since the last look. */
  #let = 0;
  #low: boolean | undefined;
  readonly #end = new AbortController();
  #trimming: Promise<void> | undefined;

  constructor(data: string, publish: Bus['publish'], log: Log) {
    this.#data = data;
    this.#publish = publish;
    this.#log = log;
    this.#ballast = new Ballast(data);
    const trim = () => {
      this.#trimming ??= this.#trim()
        .catch((err) => log.warn({ err }, 'the free space of the data volume is not known'))
        .finally(() => {
          this.#trimming = undefined;
        });
    };
    this.#timer = setInterval(trim, POLL_MS).unref();
  }

  set reserve(bytes: number) {
    this.#reserve = bytes;
    this.#found = undefined;
  }

  /** As it is now, or was a moment ago. */
  look(): Promise<Space> {
    const now = performance.now();
    if (!this.#found || now - this.#found.at >= FRESH_MS) {
      this.#let = 0;
      const space = spaceOf(this.#data, this.#reserve).then((found) => this.#note(found));
      this.#found = { space, at: now };
    }
    return this.#found.space;
  }

  /** Makes room for metadata where somebody else has filled the volume to the brim. */
  async giveBack(): Promise<void> {
    const space = await this.look();
    if (!(await this.#ballast.giveBack(space))) return;
    this.#found = undefined;
    const { free, inodes } = space;
    const found = { free, inodes: inodes?.free };
    this.#log.error(found, 'the data volume is full: what was held for deletions is given back');
  }

  /** @throws Fault `no-space` below the reserve */
  async mustHaveRoom(): Promise<void> {
    const space = await this.look();
    // Between two looks many may ask: each takes a folder and a file.
    const { inodes } = space;
    const left = inodes && { ...inodes, free: Math.max(0, inodes.free - 2 * this.#let) };
    const isShort = left !== undefined && left.free < left.reserve;
    if (space.low || isShort) throw noSpace({ ...space, ...(left && { inodes: left }) });
    this.#let += 1;
  }

  /** Nothing is written any more when it resolves. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#end.abort();
    await this.#trimming;
  }

  async #trim(): Promise<void> {
    await this.giveBack();
    await this.#ballast.take(await this.look(), this.#end.signal);
  }

  #note(found: Space): Space {
    const was = this.#low ?? false;
    // A little more than the reserve ends it, so that it does not come and go with each upload.
    const space = { ...found, low: found.low || (was && !isEnough(found)) };
    if (space.low !== was) {
      if (space.low) this.#log.warn(space, 'the data volume is almost full: nothing new is taken');
      else this.#log.info({ ...space, notice: true }, 'the data volume has room again');
      this.#publish(spaceChanged, space);
    }
    this.#low = space.low;
    return space;
  }
}

const isEnough = ({ free, reserve, inodes }: Space): boolean =>
  free >= reserve * ENOUGH &&
  (!inodes || inodes.free >= Math.max(inodes.reserve * ENOUGH, inodes.reserve + ENOUGH_INODES));
