import type { FaultCode } from '#proto/contract/fault.ts';

/** Status of an answer by fault code, as in HTTP. 500 for all others. */
const statuses: Partial<Record<FaultCode, number>> = {
  malformed: 400,
  'name-invalid': 400,
  unauthorized: 401,
  denied: 403,
  'account-unknown': 404,
  'name-unknown': 404,
  'already-activated': 409,
  busy: 409,
  conflict: 409,
  exists: 409,
  'config-invalid': 409,
  paused: 423,
  'window-closed': 423,
  'too-many': 429,
  unsupported: 501,
  'parent-invalid': 502,
  'parent-refused': 502,
  'parent-unreachable': 502,
  unavailable: 503,
  'no-space': 507,
};

export const statusOf = (code: FaultCode): number => statuses[code] ?? 500;
