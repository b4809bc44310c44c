import { mergeRequests, type PassRequest } from '../reconcile/context/pass-request.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';

/** A pass, and the link as it was when the pass was about to begin; undefined if no parent is configured. */
export type CurrentPass = { request: PassRequest; link: LinkUse | undefined };

/** One pass at a time, and at most one behind it, into which all later requests are merged. */
export type Lane = { current?: CurrentPass; next?: PassRequest };
export type LaneName = 'main' | 'scoped';
export type Lanes = Record<LaneName, Lane>;

export const emptyLanes = (): Lanes => ({ main: {}, scoped: {} });

/** Whether the link may be used for the request now. */
export const mayUse = (link: LinkUse | undefined, { now }: PassRequest): boolean =>
  link?.usable === true || (now === true && !link?.paused);

/** Whether a pass that is about to begin begins: the window may have closed while its request was queued. */
export const mayBegin = ({ current }: Lane): boolean =>
  current?.link !== undefined && mayUse(current.link, current.request);

/**
 * Queues a request. A merged request keeps the id of the first, which its caller has received as the answer. If the
 * merged scope exceeds its limit, it is queued as an unscoped pass.
 */
export function enqueue({ main, scoped }: Lanes, request: PassRequest): Lanes {
  if (!request.scope) return { main: { ...main, next: mergeRequests(main.next, request) }, scoped };
  const next = mergeRequests(scoped.next, request);
  if (next.scope) return { main, scoped: { ...scoped, next } };
  const { next: _, ...rest } = scoped;
  return { main: { ...main, next: mergeRequests(main.next, next) }, scoped: rest };
}

/** The queued request becomes the current pass. */
export const begin = ({ next }: Lane, link: LinkUse | undefined): Lane =>
  next ? { current: { request: next, link } } : {};

export const end = ({ next }: Lane): Lane => (next ? { next } : {});

/** The request that replaces the current passes: options that were requested of these (`full`, `now`) carry over. */
export function replacement({ main, scoped }: Lanes, request: PassRequest): PassRequest {
  const requests = [main, scoped].flatMap(({ current }) => current?.request ?? []);
  const full = requests.some((one) => one.full);
  const now = requests.some((one) => one.now);
  const isRetry = requests.some((one) => one.retries);
  return {
    ...request,
    ...(full && { full }),
    ...(now && { now }),
    ...(isRetry && { retries: 'all' as const }),
  };
}
