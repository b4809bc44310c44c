import type { FastifyRequest } from 'fastify';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static, TObject } from '#proto/contract/schema.ts';
import { readBody } from '../../http/read-body.ts';

/** Max size of a body, in bytes. */
const MAX_BODY_BYTES = 16 * 1_024;

/**
 * The JSON body of a change; none counts as `{}`. Only this media type is accepted: a form of another site can't send
 * it.
 * @throws Fault `malformed`, naming the field; `too-large`, `too-slow`, `size-invalid`
 */
export async function bodyOf<B extends TObject>(
  request: FastifyRequest,
  schema: B,
  withinMs: number,
): Promise<Static<B>> {
  const bytes = await readBody(request.raw, { what: 'body', limit: MAX_BODY_BYTES, withinMs });
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (bytes.byteLength > 0 && type !== 'application/json') {
    throw new Fault('malformed', 'the body is not JSON: send it with the Content-Type application/json');
  }
  try {
    return parse(schema, bytes.byteLength > 0 ? bytes : '{}', { values: 1_000 });
  } catch (cause) {
    if (Fault.is(cause, 'malformed')) {
      const fields = Object.keys(schema.properties).join(', ');
      const remedy = fields ? `its fields are ${fields}` : 'it has no fields';
      throw new Fault('malformed', `body field ${(cause as Error).message}: ${remedy}`, { cause });
    }
    if (Fault.is(cause)) throw cause;
    throw new Fault('malformed', 'the body is not JSON: send an object', { cause });
  }
}
