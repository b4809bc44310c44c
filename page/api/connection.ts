import { signal } from '@preact/signals';
import { backoffMs } from '#proto/async/backoff.ts';
import { RequestError } from './request.ts';

/** Whether the layer answers. While it does not, one probe at a time asks; everything else waits for it. */
export type Connection = {
  state: 'connecting' | 'connected' | 'lost';
  /** When the state began, in ms since 1970, by the clock of the viewer. */
  since: number;
  /** When the next attempt is made. */
  retryAt?: number;
  /** What a proxy or the gateway answered instead, if anything. */
  reason?: string;
};

export const connection = signal<Connection>({ state: 'connecting', since: Date.now() });

const BACKOFF = { firstMs: 1_000, maxMs: 30_000 };
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let probe: () => Promise<unknown> = async () => {};
const listeners = new Set<() => void>();

/**
 * Without these answers the page knows nothing of the layer. Other paths may have no answer while it runs, such as
 * those of content while storage is down.
 */
const VITAL: readonly string[] = ['/session', '/layer'];

/** `ask` requests all that must be answered again. */
export function probeWith(ask: () => Promise<unknown>): void {
  probe = ask;
}

/** Called each time the layer answers again. */
export function onReconnect(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Every request reports how it ended. While the layer does not answer, only the probe ends that. */
export function reportAnswer(path: string, error?: unknown): void {
  if (isLoss(path, error)) onLoss(error);
  else if (!isLost()) onAnswer();
}

/** A proxy answers with any status, such as 502 or 404, while the gateway restarts. */
function isLoss(path: string, error: unknown): boolean {
  if (!(error instanceof RequestError)) return false;
  return error.status === 0 || (VITAL.includes(path) && !error.isRefusal);
}

function onAnswer(): void {
  const before = connection.value.state;
  failures = 0;
  clearTimeout(timer);
  timer = undefined;
  if (before === 'connected') return;
  connection.value = { state: 'connected', since: Date.now() };
  if (before === 'lost') for (const listener of listeners) listener();
}

function onLoss(error: unknown): void {
  if (timer) return;
  failures += 1;
  const waitMs = backoffMs(failures, BACKOFF);
  const since = connection.value.state === 'lost' ? connection.value.since : Date.now();
  const reason = error instanceof RequestError && error.status !== 0 && { reason: error.message };
  connection.value = { state: 'lost', since, retryAt: Date.now() + waitMs, ...reason };
  timer = setTimeout(retryNow, waitMs);
}

/** Makes the next attempt at once. */
export function retryNow(): void {
  clearTimeout(timer);
  timer = undefined;
  probe().then(onAnswer, (error) =>
    error instanceof RequestError && error.isRefusal ? onAnswer() : onLoss(error),
  );
}

export const isLost = (): boolean => connection.peek().state === 'lost';
