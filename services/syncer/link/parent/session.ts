import { Fault } from '#proto/contract/fault.ts';
import { type Answer, one } from '../answers/bodies.ts';

/** An upload at the parent: where its next bytes go, and how many it has. */
export type Session = { location: string; offset: number };

/**
 * Where an answer says that the upload goes on. The parent itself, whatever name it has for itself, where the path is
 * one of a registry: behind a proxy it may not know the name by which it is reached.
 * @throws Fault `parent-invalid`
 */
export function locationOf(answer: Answer, base: URL, before?: string): string {
  const said = one(answer.headers.location) ?? before;
  const url =
    said !== undefined && URL.canParse(said, answer.from.href) ? new URL(said, answer.from) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new Fault('parent-invalid', 'the parent names no address for an upload');
  }
  const path = `${url.pathname}${url.search}`;
  return url.pathname.startsWith('/v2/') || url.origin === base.origin ? path : url.href;
}

/**
 * The session as an answer describes it. `Range: 0-<last>` tells how much there is; by custom 0-0 is nothing, as no
 * upload is sent byte by byte.
 * @param reached how much there is where the answer does not say
 */
export function sessionIn(answer: Answer, base: URL, before: string, reached = 0): Session {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(one(answer.headers.range)?.trim() ?? '')?.[1];
  const offset = last === undefined ? reached : last === '0' ? 0 : Number(last) + 1;
  return { location: locationOf(answer, base, before), offset };
}
