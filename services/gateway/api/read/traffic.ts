import type { Throughput } from '#proto/api/link.ts';
import type { EventListener } from '#proto/bus/roles.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { SyncerStatus } from '#proto/status/status.ts';
import { crossingBytes } from '#proto/sync/crossing.ts';
import { imageFailed, imageFinished, imageStarted } from '#proto/sync/passes.ts';
import {
  type Direction,
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';

/** Length of an interval, in ms, and number of intervals that are kept. */
const INTERVAL_MS = 10_000;
const MAX_POINTS = 360;
/** Time over which a current rate is measured, in ms. */
const RATE_MS = 10_000;
/** Max transfers and images that are followed. */
const MAX_FOLLOWED = 5_000;

type Point = Throughput['points'][number];
type Sample = { at: number; bytes: number };
export type RunningImage = {
  repository: string;
  tag: string | undefined;
  direction: Direction;
  bytes: number;
};

/**
 * What crosses the link, from the events of syncers: bytes by time and direction, rates of transfers, and the images
 * that are on their way. Bounded in time and number. Each gateway process follows it from its start.
 */
export class Traffic {
  /** Bytes that crossed the link: what is made here does not. */
  readonly #crossed = new BoundedMap<number>(MAX_FOLLOWED);
  readonly #rates = new BoundedMap<Sample>(MAX_FOLLOWED);
  readonly #images = new BoundedMap<RunningImage>(MAX_FOLLOWED);
  /** Oldest first. The clock may be set: what is later than it is dropped. */
  #points: Point[] = [];
  #recent: Point[] = [];
  readonly #now: () => number;

  constructor(bus: EventListener, now: () => number = Date.now) {
    this.#now = now;
    bus.listen(transferStarted, ({ data }) =>
      this.#crossed.set(keyOf(data), data.present - (data.made ?? 0)),
    );
    bus.listen(transferProgressed, ({ data }) => {
      this.#moved(data, data.done - (data.made ?? 0));
      if (data.rate !== undefined) this.#rates.set(keyOf(data), { at: this.#now(), bytes: data.rate });
    });
    bus.listen(transferFinished, ({ data }) => {
      // What had crossed of a blob before its delta is counted already.
      if (!data.mounted) this.#moved(data, data.delta?.size ?? crossingBytes(data));
      this.#end(data);
    });
    for (const ended of [transferFailed, transferPaused]) {
      bus.listen(ended as typeof transferPaused, ({ data }) => this.#end(data));
    }
    bus.listen(imageStarted, ({ data: { repository, tag, digest, direction, bytes } }) => {
      const image = { repository, tag: tag ?? digest, direction, bytes };
      this.#images.set(imageKey({ repository, tag }, digest), image);
    });
    bus.listen(imageFinished, ({ data }) => this.#images.delete(imageKey(data, data.digest)));
    bus.listen(imageFailed, ({ data }) => this.#images.delete(imageKey(data, data.digest ?? '')));
  }

  /** The last hour, as far as it is known, up to now. Intervals without a byte after others are 0. */
  throughput(): Throughput {
    this.#trim();
    const byStart = new Map(this.#points.map((point) => [point.at, point]));
    const last = startOf(this.#now(), INTERVAL_MS);
    const points: Point[] = [];
    for (let at = this.#points[0]?.at ?? Number.POSITIVE_INFINITY; at <= last; at += INTERVAL_MS) {
      const { down, up } = byStart.get(at) ?? { down: 0, up: 0 };
      points.push({ at: at + INTERVAL_MS, down, up });
    }
    return { interval: INTERVAL_MS, points };
  }

  /** Bytes a second now. */
  rate(): { down: number; up: number } {
    this.#trim();
    const sum = (direction: Direction) => this.#recent.reduce((total, one) => total + one[direction], 0);
    const perSecond = (bytes: number) => Math.round((bytes * 1_000) / RATE_MS);
    return { down: perSecond(sum('down')), up: perSecond(sum('up')) };
  }

  /** Bytes a second of one transfer; 0 if it has not moved recently. */
  rateOf(transfer: SyncerStatus['transfers'][number]): number {
    const sample = this.#rates.get(keyOf(transfer));
    return sample && isWithin(sample.at, this.#now(), RATE_MS) ? sample.bytes : 0;
  }

  /** Images of a repository that are on their way. */
  imagesOf(repository: string, direction: Direction): RunningImage[] {
    return [...this.#images.entries()]
      .map(([, image]) => image)
      .filter((image) => image.repository === repository && image.direction === direction);
  }

  #moved(transfer: { digest: string; direction: Direction; repository: string }, crossed: number): void {
    const key = keyOf(transfer);
    const before = this.#crossed.get(key);
    this.#crossed.set(key, crossed);
    // It began before this process: nobody knows when its first bytes came.
    if (before === undefined) return;
    const bytes = Math.max(0, crossed - before);
    const now = this.#now();
    this.#trim();
    for (const [points, start] of [
      [this.#points, startOf(now, INTERVAL_MS)],
      [this.#recent, startOf(now, 1_000)],
    ] as const) {
      if (points.at(-1)?.at !== start) points.push({ at: start, down: 0, up: 0 });
      (points.at(-1) as Point)[transfer.direction] += bytes;
    }
  }

  #trim(): void {
    const now = this.#now();
    const firstPoint = startOf(now, INTERVAL_MS) - MAX_POINTS * INTERVAL_MS;
    this.#points = this.#points.filter(({ at }) => at > firstPoint && at <= now);
    this.#recent = this.#recent.filter(({ at }) => isWithin(at, now, RATE_MS));
  }

  #end(transfer: { digest: string; direction: Direction; repository: string }): void {
    this.#crossed.delete(keyOf(transfer));
    this.#rates.delete(keyOf(transfer));
  }
}

const startOf = (at: number, interval: number): number => at - (at % interval);

const isWithin = (at: number, now: number, ms: number): boolean => at <= now && at >= now - ms;

const keyOf = ({
  digest,
  direction,
  repository,
}: {
  digest: string;
  direction: Direction;
  repository: string;
}) => (direction === 'down' ? `down ${digest}` : `up ${digest} ${repository}`);

const imageKey = ({ repository, tag }: { repository: string; tag: string | null }, digest: string): string =>
  tag === null ? `${repository}@${digest}` : `${repository}:${tag}`;
