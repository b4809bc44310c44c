import { createHash, randomBytes } from 'node:crypto';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';

/** Bytes for tests, and the faults that they expect. */

export const digestOf = (bytes: Uint8Array, algorithm = 'sha256'): string =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const jsonOf = (value: unknown): Uint8Array => bytesOf(JSON.stringify(value));
export const random = (size: number): Uint8Array => randomBytes(size);

/** For `assert.rejects`: a fault with this code, and with these fields in its detail. */
export const fault =
  (code: FaultCode, detail?: Record<string, unknown>) =>
  (error: unknown): boolean => {
    if (!Fault.is(error, code)) throw error;
    for (const [key, value] of Object.entries(detail ?? {})) {
      if (error.detail?.[key] !== value) throw new Error(`${key} is ${error.detail?.[key]}, not ${value}`);
    }
    return true;
  };
