import { signal } from '@preact/signals';
import { backoffMs } from '#proto/async/backoff.ts';
import { RequestError } from './request.ts';

/** Whether the gateway answers. While it does not, one probe at a time asks; everything else waits for it. */
export type Connection = {
  state: 'connecting' | 'connected' | 'lost';
  /** When the state began, in ms since 1970, by the clock of the viewer. */
  since: number;
  /** When the next attempt is made. */
  retryAt?: number;
};

export const connection = signal<Connection>({ state: 'connecting', since: Date.now() });

const BACKOFF = { firstMs: 1_000, maxMs: 30_000 };
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let probe: () => Promise<unknown> = async () => {};
const listeners = new Set<() => void>();

/** `ask` is the request that shows whether the gateway answers again. */
export function probeWith(ask: () => Promise<unknown>): void {
  probe = ask;
}

/** Called each time the gateway answers again. */
export function onReconnect(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Every request reports how it ended. */
export function reportAnswer(error?: unknown): void {
  const isOutage = error instanceof RequestError && error.status === 0;
  if (!isOutage) {
    const before = connection.value.state;
    failures = 0;
    clearTimeout(timer);
    timer = undefined;
    if (before === 'connected') return;
    connection.value = { state: 'connected', since: Date.now() };
    if (before === 'lost') for (const listener of listeners) listener();
    return;
  }
  if (timer) return;
  failures += 1;
  const waitMs = backoffMs(failures, BACKOFF);
  const since = connection.value.state === 'lost' ? connection.value.since : Date.now();
  connection.value = { state: 'lost', since, retryAt: Date.now() + waitMs };
  timer = setTimeout(retryNow, waitMs);
}

/** Makes the next attempt at once. */
export function retryNow(): void {
  clearTimeout(timer);
  timer = undefined;
  probe().then(
    () => reportAnswer(),
    (error) => reportAnswer(error),
  );
}

export const isLost = (): boolean => connection.peek().state === 'lost';
