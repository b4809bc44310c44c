import { Fault } from '../contract/fault.ts';
import { type Static, type TSchema, Type } from '../contract/schema.ts';
import { matches } from '../contract/schema-check.ts';
import type { ModuleIdentity, ServerCertificate } from './identity.ts';

/** Paths and answers of the workload API of IoT Edge. Pure; keys, certificates and signatures are never shown. */

export function workloadPath(
  { module, generation }: ModuleIdentity,
  operation: string,
  version: string,
): string {
  const owner = `/modules/${encodeURIComponent(module)}/genid/${encodeURIComponent(generation)}`;
  return `${owner}/${operation}?api-version=${version}`;
}

const Bundle = Type.Object({ certificate: Type.String() });
const Digest = Type.Object({ digest: Type.String({ minLength: 1 }) });
/** PEM text, although the interface description says base64. */
const Certificate = Type.Object({
  privateKey: Type.Object({ type: Type.Literal('key'), bytes: Type.String({ minLength: 1 }) }),
  certificate: Type.String({ minLength: 1 }),
  expiration: Type.String(),
});
const Refusal = Type.Object({ message: Type.String() });

export const parseWorkload = {
  bundle: (text: string): string => read(Bundle, text).certificate,
  digest: (text: string): string => read(Digest, text).digest,
  certificate(text: string): ServerCertificate {
    const { privateKey, certificate, expiration } = read(Certificate, text);
    const expires = new Date(expiration);
    if (Number.isNaN(expires.getTime()))
      throw new Fault('malformed', `the certificate has no valid expiration: ${expiration}`);
    return { certificate, privateKey: privateKey.bytes, expires };
  },
  /** 4xx, other than 429, is permanent; 5xx is temporary, such as while parts of the daemon restart. */
  refusal(status: number, text: string, operation: string): Fault {
    const message = matches(Refusal, json(text)) ? (json(text) as { message: string }).message : '';
    const why = `${operation} was answered ${status}${message && `: ${message.slice(0, 200)}`}`;
    if (status === 403 || status === 401) {
      return new Fault('denied', `${why}; only processes of the module have access`);
    }
    return new Fault(
      status >= 500 || status === 429 ? 'unavailable' : 'malformed',
      `the workload API: ${why}`,
    );
  },
};

function read<T extends TSchema>(schema: T, text: string): Static<T> {
  const value = json(text);
  if (matches(schema, value)) return value;
  throw new Fault('malformed', 'the workload API returned an unexpected response');
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
