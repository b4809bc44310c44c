import type { Bus } from '#proto/bus/bus.ts';
import { type Space, spaceChanged } from '#proto/content/maintenance.ts';
import type { Log } from '#proto/contract/log.ts';
import { Ballast } from '#proto/volume/ballast.ts';
import { noSpace, RESERVE, spaceOf } from '#proto/volume/space.ts';

/** How long a measurement is reused, in ms. */
const FRESH_MS = 500;
/** Interval of measurements without requests, in ms. */
const POLL_MS = 5_000;
/** Multiple of the reserve that must be free before new content is accepted again. */
const RECOVERY_FACTOR = 1.05;
/** Min inodes above the reserve for the same, as metadata creates and deletes a few files all the time. */
const RECOVERY_INODES = 32;

/** Multiple of the reserve below which content is deleted that can be made again. */
const SPARE_FACTOR = 1.25;

/** Deletes content that can be made again, until this much is free. @returns whether there was any */
export type Relief = (need: { bytes: number; files: number }) => Promise<boolean>;

/** Watches free space and inodes of the data volume. Below the reserve, no new content is accepted. */
export class SpaceGuard implements AsyncDisposable {
  readonly #data: string;
  readonly #publish: Bus['publish'];
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  readonly #ballast: Ballast;
  /** Called near the reserve, before new content is refused. */
  relief: Relief | undefined;
  #relieving: Promise<boolean> | undefined;
  #reserve = RESERVE;
  #measured: { space: Promise<Space>; at: number } | undefined;
  /** Ingests admitted since the last measurement, and in the interval before, whose files it may not have seen. */
  #admitted = 0;
  #admittedBefore = 0;
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
        .catch((err) => log.warn({ err }, 'free space of the data volume could not be measured'))
        .finally(() => {
          this.#trimming = undefined;
        });
    };
    this.#timer = setInterval(trim, POLL_MS).unref();
  }

  set reserve(bytes: number) {
    this.#reserve = bytes;
    this.#measured = undefined;
  }

  /** Free space, at most 500 ms old. */
  current(): Promise<Space> {
    const now = performance.now();
    if (!this.#measured || now - this.#measured.at >= FRESH_MS) {
      this.#admittedBefore = this.#admitted;
      this.#admitted = 0;
      const space = spaceOf(this.#data, this.#reserve).then((measured) => this.#note(measured));
      this.#measured = { space, at: now };
    }
    return this.#measured.space;
  }

  /** Releases the ballast for metadata if another process has filled the volume. */
  async releaseBallast(): Promise<void> {
    const space = await this.current();
    if (!(await this.#ballast.giveBack(space))) return;
    this.#measured = undefined;
    const { free, inodes } = space;
    const fields = { free, inodes: inodes?.free };
    this.#log.error(fields, 'data volume full; released the space reserved for deletions');
  }

  /** @throws Fault `no-space` below the reserve */
  async mustHaveRoom(): Promise<void> {
    let lack = this.#lackOf(await this.current());
    if (lack && (await this.#relieve(lack))) lack = this.#lackOf(await this.current());
    // Nothing is awaited between the check and the count: others may be admitted meanwhile.
    if (lack) throw noSpace(lack);
    this.#admitted += 1;
  }

  /** Undefined if there is room for new content. */
  #lackOf(space: Space): Space | undefined {
    // Many may be admitted between two measurements: each takes three inodes: its folder, and two files.
    const { inodes } = space;
    const taken = 3 * (this.#admitted + this.#admittedBefore);
    const left = inodes && { ...inodes, free: Math.max(0, inodes.free - taken) };
    const isShort = left !== undefined && left.free < left.reserve;
    return space.low || isShort ? { ...space, ...(left && { inodes: left }) } : undefined;
  }

  /** @returns whether anything was deleted; one run at a time, which callers share */
  async #relieve({ free, reserve, inodes }: Space): Promise<boolean> {
    const bytes = Math.max(0, Math.ceil(reserve * SPARE_FACTOR) - free);
    const minInodes = inodes ? Math.max(inodes.reserve * SPARE_FACTOR, inodes.reserve + RECOVERY_INODES) : 0;
    const files = inodes ? Math.max(0, Math.ceil(minInodes) - inodes.free) : 0;
    if (!this.relief || bytes + files === 0) return false;
    this.#relieving ??= this.relief({ bytes, files })
      .catch((err) => {
        this.#log.warn({ err }, 'deltas could not be deleted for space; retrying');
        return false;
      })
      .finally(() => {
        this.#relieving = undefined;
      });
    const isRelieved = await this.#relieving;
    if (isRelieved) this.#measured = undefined;
    return isRelieved;
  }

  /** Nothing is written after it resolves. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#end.abort();
    await this.#trimming;
  }

  async #trim(): Promise<void> {
    await this.#relieve(await this.current());
    await this.releaseBallast();
    await this.#ballast.take(await this.current(), this.#end.signal);
  }

  #note(measured: Space): Space {
    const wasLow = this.#low ?? false;
    // Hysteresis: slightly more than the reserve ends the shortage, so that it does not flap with each upload.
    const space = { ...measured, low: measured.low || (wasLow && !isEnough(measured)) };
    if (space.low !== wasLow) {
      if (space.low) this.#log.warn(space, 'data volume below its reserve; new content is refused');
      else
        this.#log.info(
          { ...space, notice: true },
          'data volume above its reserve again; new content is accepted',
        );
      this.#publish(spaceChanged, space);
    }
    this.#low = space.low;
    return space;
  }
}

const isEnough = ({ free, reserve, inodes }: Space): boolean =>
  free >= reserve * RECOVERY_FACTOR &&
  (!inodes || inodes.free >= Math.max(inodes.reserve * RECOVERY_FACTOR, inodes.reserve + RECOVERY_INODES));
