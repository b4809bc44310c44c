import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { nextLink } from './locations.ts';
import { parameter } from './parameters.ts';

const MAX_PAGE = 1_000;

/** Requested page of a list: `n` entries after `last` (distribution-spec 1.1, "Listing tags"). */
export type PageRequest = { limit: number; after?: string };

/** The requested page: 1,000 entries at most, which is also the default. @throws Fault `malformed` */
export function pageOf(request: FastifyRequest): PageRequest {
  const n = parameter(request, 'n');
  const last = parameter(request, 'last');
  if (n !== undefined && !/^\d+$/.test(n)) {
    throw new Fault('malformed', `n is ${JSON.stringify(n.slice(0, 40))}: write a number of entries`);
  }
  return { limit: Math.min(MAX_PAGE, n === undefined ? MAX_PAGE : Number(n)), ...(last && { after: last }) };
}

/** Adds the link to the next page, unless the list has ended or the page has no entries by request. */
export function linkNext(
  reply: FastifyReply,
  path: string,
  { limit }: PageRequest,
  last: string | undefined,
  more: boolean,
): void {
  if (more && limit > 0 && last !== undefined) {
    reply.header('link', nextLink(path, { n: String(limit), last }));
  }
}
