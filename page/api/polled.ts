import { type Signal, signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { jittered } from '#proto/async/backoff.ts';
import { isLost, onReconnect, reportAnswer } from './connection.ts';
import { get, RequestError } from './request.ts';
import { onUnauthorized, readSession } from './session.ts';

/**
 * Answers that are kept up to date while a view shows them and the tab is visible. The last answer stays while the
 * gateway does not answer.
 */
export type Polled<T> = { value: Signal<T | undefined>; error: Signal<RequestError | undefined> };

/** Min time between two requests for the same answer, in ms. */
const MIN_INTERVAL_MS = 1_000;
/** Answers that are kept after their view was left, so that it shows them at once when it comes back. */
const MAX_KEPT = 30;

class Resource<T> implements Polled<T> {
  readonly value = signal<T | undefined>(undefined);
  readonly error = signal<RequestError | undefined>(undefined);
  readonly path: string;
  #everyMs = Number.POSITIVE_INFINITY;
  #users = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isLoading = false;
  #isDirty = false;
  #lastStart = Number.NEGATIVE_INFINITY;

  constructor(path: string) {
    this.path = path;
  }

  get isUsed(): boolean {
    return this.#users > 0;
  }

  use(everyMs: number): () => void {
    this.#users += 1;
    this.#everyMs = everyMs;
    // What was requested just before, when a link was pointed at, is not requested again.
    const isFresh = performance.now() - this.#lastStart < MIN_INTERVAL_MS && this.value.peek() !== undefined;
    if (isFresh) this.#schedule(jittered(everyMs));
    else if (!this.#isLoading) this.refresh();
    return () => {
      this.#users -= 1;
      if (this.#users === 0) this.pause();
    };
  }

  /** Asks at once unless an answer is there or on its way. */
  begin(): void {
    if (this.value.peek() === undefined && !document.hidden) void this.#load();
  }

  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Asks as soon as the minimum interval allows. */
  refresh(): void {
    if (!this.isUsed || document.hidden) return;
    if (this.#isLoading) {
      this.#isDirty = true;
      return;
    }
    this.#schedule(Math.max(0, this.#lastStart + MIN_INTERVAL_MS - performance.now()));
  }

  #schedule(ms: number): void {
    this.pause();
    if (Number.isFinite(ms)) this.#timer = setTimeout(() => this.#again(), ms);
  }

  #again(): void {
    if (this.isUsed && !document.hidden) void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#isLoading || isLost()) return;
    this.#isLoading = true;
    this.#isDirty = false;
    this.#lastStart = performance.now();
    try {
      this.value.value = await get<T>(this.path);
      this.error.value = undefined;
      reportAnswer(this.path);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.error.value = error;
      reportAnswer(this.path, error);
      if (error.status === 401) onUnauthorized();
      // The rights of the account may have changed.
      if (error.status === 403) void readSession().catch(() => {});
    } finally {
      this.#isLoading = false;
      if (this.#isDirty) this.refresh();
      else if (this.isUsed && !document.hidden) this.#schedule(jittered(this.#everyMs));
    }
  }
}

const resources = new Map<string, Resource<unknown>>();

function resourceOf<T>(path: string): Resource<T> {
  const known = resources.get(path);
  const resource = known ?? new Resource<unknown>(path);
  // The last one that was used is the last one of the map.
  resources.delete(path);
  resources.set(path, resource);
  for (const [key, one] of resources) {
    if (resources.size <= MAX_KEPT) break;
    if (!one.isUsed && key !== path) resources.delete(key);
  }
  return resource as Resource<T>;
}

/** Asks again each `everyMs` while the component is shown; `Infinity`: once, and when something refreshes it. */
export function usePolled<T>(path: string, everyMs: number): Polled<T> {
  const resource = resourceOf<T>(path);
  // An effect runs after the view was painted: the request is on its way by then.
  useMemo(() => resource.begin(), [resource]);
  useEffect(() => resource.use(everyMs), [resource, everyMs]);
  return resource;
}

/** The last answer, as long as it is kept. */
export const known = <T>(path: string): T | undefined => resources.get(path)?.value.peek() as T | undefined;

/** Asks for what a view will show, unless it is known or requested already. */
export const prefetch = (path: string): void => resourceOf(path).begin();

/** Refreshes what is shown now and begins with one of these paths; everything without one. */
export function refresh(...prefixes: string[]): void {
  for (const resource of resources.values()) {
    if (prefixes.length === 0 || prefixes.some((prefix) => resource.path.startsWith(prefix)))
      resource.refresh();
  }
}

/** Forgets all answers: another account may see others. */
export function forgetAll(): void {
  for (const resource of resources.values()) {
    resource.value.value = undefined;
    resource.error.value = undefined;
  }
}

export function startPolling(): void {
  onReconnect(() => refresh());
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) for (const resource of resources.values()) resource.pause();
    else refresh();
  });
}
