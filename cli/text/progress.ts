import { MultiBar, type SingleBar } from 'cli-progress';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { formatBytes, formatDuration, plural, shortDigest } from '../terminal/figures.ts';
import { factsOf, type ImageProgress, ImageTracker, imageName, type PassFacts } from './image-progress.ts';
import { progressLine, progressLines } from './progress-lines.ts';

/** Shows the progress of a pass from its events. */
export type View = {
  onEvent(event: ReceivedEvent<unknown>): void;
  end(): void;
};

const isUp = ({ direction }: { direction?: Direction | undefined }) => direction === 'up';
/** How often a view without a terminal prints the progress, in ms. */
const LINE_MS = 10_000;
/** How often the lines of a terminal are computed again, in ms. */
const DRAW_MS = 500;
const DEFAULT_COLUMNS = 80;

/** One line for each step, and one for the progress each `lineMs`. */
export function lineView(
  print: (line: string) => void,
  tracker = new ImageTracker(),
  lineMs = LINE_MS,
): View {
  const timer = setInterval(() => {
    const line = progressLine(tracker.progress(performance.now()));
    if (line) print(line);
  }, lineMs).unref();
  return {
    onEvent(event) {
      const facts = factsOf(event);
      const ended = tracker.apply(event.type, facts);
      const line = describeStep(event.type, facts, ended);
      if (line) print(line);
    },
    end: () => clearInterval(timer),
  };
}

/** One JSON object a line: each event, and the progress of the images each `lineMs` while there is any. */
export function jsonView(
  print: (json: string) => void,
  tracker = new ImageTracker(),
  lineMs = DRAW_MS * 2,
): View {
  const timer = setInterval(() => {
    const progress = tracker.progress(performance.now());
    if (progress.images.length === 0) return;
    print(JSON.stringify({ type: 'progress', time: new Date().toISOString(), ...progress }));
  }, lineMs).unref();
  return {
    onEvent(event) {
      tracker.apply(event.type, factsOf(event));
      print(JSON.stringify({ ...event, datacontenttype: 'application/json' }));
    },
    end: () => clearInterval(timer),
  };
}

/** `, 3.1 MB instead of 49.6 MB`; empty if all bytes crossed the link. */
const savedText = ({ bytes, saved }: ImageProgress): string =>
  saved === undefined ? '' : `, ${formatBytes(bytes)} instead of ${formatBytes(bytes + saved)}`;

/** @param ended the image that has ended with this step */
function describeStep(type: string, facts: PassFacts, ended?: ImageProgress): string | undefined {
  switch (type) {
    case 'terrace.pass.planned':
      return `actions planned: ${facts.actions}`;
    case 'terrace.image.started':
      return `${imageName(facts)}: ${plural(facts.blobs ?? 0, 'blob')}, ${formatBytes(facts.bytes ?? 0)} to ${isUp(facts) ? 'push' : 'pull'}`;
    case 'terrace.image.finished':
      return `${imageName(facts)}: ${isUp(facts) ? 'pushed' : 'pulled'}${ended ? savedText(ended) : ''}`;
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

/** A line with a bar for each image in transfer, and one for all; steps are logged above them. */
export function barView(tracker = new ImageTracker(), stream: NodeJS.WriteStream = process.stdout): View {
  const bars = new MultiBar({
    format: (_options, _params, { line }: { line: string }) => line,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    emptyOnZero: true,
    stream,
    fps: 5,
  });
  const lines: SingleBar[] = [];
  const draw = () => {
    const all = progressLines(tracker.progress(performance.now()));
    // The bars count lines, so none may be wrapped by the terminal.
    const wanted = all.map((line) => line.slice(0, (stream.columns || DEFAULT_COLUMNS) - 1));
    while (lines.length > wanted.length) bars.remove(lines.pop() as SingleBar);
    for (const [index, line] of wanted.entries()) {
      const known = lines[index];
      if (known) known.update(0, { line });
      else lines.push(bars.create(1, 0, { line }));
    }
  };
  const timer = setInterval(draw, DRAW_MS).unref();
  return {
    onEvent(event) {
      const facts = factsOf(event);
      const ended = tracker.apply(event.type, facts);
      const line = describeStep(event.type, facts, ended);
      // `bars.log` adds no line end.
      if (line) bars.log(`${line}\n`);
      if (event.type.startsWith('terrace.image.')) draw();
    },
    end() {
      clearInterval(timer);
      // Draws the last steps, which are still buffered.
      bars.update();
      bars.stop();
    },
  };
}
