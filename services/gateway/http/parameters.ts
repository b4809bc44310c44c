import type { FastifyRequest } from 'fastify';
import { isChild } from '#proto/accounts/scopes.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Digest, parseDigestName, parseRepositoryName, type Repository } from '#proto/oci/names.ts';

/** A parameter of the path; empty if missing. */
export function segment(request: FastifyRequest, name: string): string {
  return (request.params as Record<string, string>)[name] ?? '';
}

/** A parameter of the query; the first value if it is repeated. */
export function parameter(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return Array.isArray(value) ? value[0] : value;
}

/** All values of a parameter of the query. */
export function parameters(request: FastifyRequest, name: string): string[] {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return value === undefined ? [] : [value].flat();
}

/** @throws Fault `name-invalid` */
export function repositoryOf(request: FastifyRequest): Repository {
  return parseRepositoryName(segment(request, 'name'));
}

/** Name of a layer below, in lower case as in scope maps. @throws Fault `malformed` */
export function childParameter(request: FastifyRequest): string {
  const name = segment(request, 'child').toLowerCase();
  if (isChild(name)) return name;
  throw new Fault(
    'malformed',
    `child ${JSON.stringify(name.slice(0, 80))} is not valid: use letters, digits and - between them, 63 characters at most`,
  );
}

/** @throws Fault `digest-invalid` */
export function digestParameter(request: FastifyRequest): Digest {
  return parseDigestName(segment(request, 'digest'));
}
