import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { nextLink } from './locations.ts';
import { parameter } from './parameters.ts';

const MAX_PAGE = 1_000;

/** What a request for a list asks for: `n` entries after `last` (distribution-spec 1.1, "Listing tags"). */
export type Page = { limit: number; after?: string };

/** A page has 1,000 entries at most, and as many where `n` is not given. @throws Fault `malformed` */
export function pageOf(request: FastifyRequest): Page {
  const n = parameter(request, 'n');
  const last = parameter(request, 'last');
  if (n !== undefined && !/^\d+$/.test(n)) {
    throw new Fault('malformed', `n is ${JSON.stringify(n.slice(0, 40))}: write how many entries you want`);
  }
  return { limit: Math.min(MAX_PAGE, n === undefined ? MAX_PAGE : Number(n)), ...(last && { after: last }) };
}

/** Tells where the next page is, unless the list has ended or the client wants nothing of it. */
export function linkNext(
  reply: FastifyReply,
  path: string,
  { limit }: Page,
  last: string | undefined,
  more: boolean,
): void {
  if (more && limit > 0 && last !== undefined) {
    reply.header('link', nextLink(path, { n: String(limit), last }));
  }
}
