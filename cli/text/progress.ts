import { MultiBar, type SingleBar } from 'cli-progress';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { formatBytes, formatDuration, shortDigest } from '../terminal/figures.ts';
import { singleLines } from '../terminal/terminal.ts';

/** Shows the progress of a pass from its events. */
export type View = {
  onEvent(event: ReceivedEvent<unknown>): void;
  end(): void;
};

/** The fields that this module reads from events of passes and transfers; each event has some of them. */
type Facts = {
  repository?: string;
  tag?: string | null;
  digest?: string;
  size?: number;
  present?: number;
  done?: number;
  bytes?: number;
  blobs?: number;
  actions?: number;
  reason?: string;
  until?: number;
  retry?: number;
  direction?: Direction;
  winner?: string;
  loser?: string;
  loserTag?: string;
};

/** Single lines, as the bars write to the terminal without `print`. */
const factsOf = ({ data }: ReceivedEvent<unknown>): Facts => singleLines(data as Facts);

const imageName = ({ repository, tag, digest }: Facts) =>
  `${repository}${tag ? `:${tag}` : `@${shortDigest(digest ?? '')}`}`;

const isUp = ({ direction }: Facts) => direction === 'up';
/** A blob may have several transfers at a time: one per direction and repository. */
const keyOf = ({ direction, repository, digest }: Facts) => `${direction} ${repository} ${digest}`;

/** One line for each step, without the progress in between. */
export function lineView(print: (line: string) => void): View {
  const write = (event: ReceivedEvent<unknown>) => {
    const line = describeStep(event.type, factsOf(event));
    if (line) print(line);
  };
  return { onEvent: write, end() {} };
}

function describeStep(type: string, facts: Facts): string | undefined {
  switch (type) {
    case 'terrace.pass.planned':
      return `actions planned: ${facts.actions}`;
    case 'terrace.image.started':
      return `${imageName(facts)}: ${facts.blobs} blobs, ${formatBytes(facts.bytes ?? 0)} to ${isUp(facts) ? 'push' : 'pull'}`;
    case 'terrace.image.finished':
      return `${imageName(facts)}: ${isUp(facts) ? 'pushed' : 'pulled'}`;
    case 'terrace.image.failed':
      return `${imageName(facts)}: failed: ${facts.reason}`;
    case 'terrace.image.parked':
      return `${imageName(facts)}: refused by the parent: ${facts.reason}; next attempt in ${formatDuration((facts.retry ?? 0) - Date.now())}`;
    case 'terrace.image.conflict':
      return `${imageName(facts)}: changed on both sides: ${shortDigest(facts.winner ?? '')} has the tag, ${shortDigest(facts.loser ?? '')} stays as ${facts.loserTag}`;
    case 'terrace.transfer.paused':
      return `${shortDigest(facts.digest ?? '')}: paused until the next window`;
    case 'terrace.transfer.delayed':
      return `${shortDigest(facts.digest ?? '')}: waits ${formatDuration((facts.until ?? 0) - Date.now())}: ${facts.reason}`;
    case 'terrace.transfer.failed':
      return `${shortDigest(facts.digest ?? '')}: failed: ${facts.reason}`;
    default:
      return undefined;
  }
}

/** A bar for each transfer, with rate and time left; steps are logged above the bars. */
export function barView(stream: NodeJS.WriteStream = process.stdout): View {
  const bars = new MultiBar({
    format: ' {digest} {bar} {percentage}%  {amount}  {rate}  {left}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 28,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    emptyOnZero: true,
    stream,
    fps: 5,
  });
  const transfers = new Map<string, { bar: SingleBar; rate: Rate }>();
  const show = (facts: Facts, done: number) => {
    const { digest = '', size = 0 } = facts;
    let transfer = transfers.get(keyOf(facts));
    if (!transfer) {
      transfer = {
        bar: bars.create(size, done, {
          digest: `${isUp(facts) ? '↑' : '↓'} ${shortDigest(digest)}`,
          amount: '',
          rate: '',
          left: '',
        }),
        rate: new Rate(),
      };
      transfers.set(keyOf(facts), transfer);
    }
    const rate = transfer.rate.at(done, Date.now());
    transfer.bar.update(done, {
      amount: `${formatBytes(done)} of ${formatBytes(size)}`,
      rate: rate ? `${formatBytes(rate)}/s` : '',
      left: rate ? `${formatDuration(((size - done) / rate) * 1_000)} left` : '',
    });
  };
  const close = (facts: Facts) => {
    const transfer = transfers.get(keyOf(facts));
    if (transfer) bars.remove(transfer.bar);
    transfers.delete(keyOf(facts));
  };
  return {
    onEvent(event) {
      const facts = factsOf(event);
      if (event.type === 'terrace.transfer.started') show(facts, facts.present ?? 0);
      if (event.type === 'terrace.transfer.progressed') show(facts, facts.done ?? 0);
      if (/^terrace\.transfer\.(finished|failed|paused)$/.test(event.type)) close(facts);
      const line = describeStep(event.type, facts);
      // `bars.log` adds no line end.
      if (line) bars.log(`${line}\n`);
    },
    end() {
      // Draws the last steps, which are still buffered.
      bars.update();
      bars.stop();
    },
  };
}

/** Rate over a sliding window: the rate before a stall says nothing about the current one. */
export class Rate {
  static readonly #WINDOW_MS = 10_000;
  #points: { at: number; done: number }[] = [];

  /**
   * @param done bytes transferred until `now`
   * @returns bytes/s; undefined in the first 500 ms of the window, and without progress in it
   */
  at(done: number, now: number): number | undefined {
    this.#points.push({ at: now, done });
    while (this.#points.length > 2 && now - (this.#points[0]?.at ?? now) > Rate.#WINDOW_MS)
      this.#points.shift();
    const first = this.#points[0] as { at: number; done: number };
    const ms = now - first.at;
    if (ms < 500 || done <= first.done) return undefined;
    return ((done - first.done) / ms) * 1_000;
  }
}
