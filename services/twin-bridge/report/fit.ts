import type { Reported } from './reported.ts';

const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const few = <T>(list: unknown, max: number) => (Array.isArray(list) ? (list as T[]).slice(0, max) : list);

/** Cuts that shrink a report, in the order in which they are made. */
const cuts: ((reported: Reported) => Reported)[] = [
  (all) => ({
    ...all,
    ...(all.children ? { children: { ...(all.children as object), states: {} } } : {}),
  }),
  (all) => ({
    ...all,
    ...(all.registrySyncResult
      ? { registrySyncResult: { ...(all.registrySyncResult as object), failures: [] } }
      : {}),
  }),
  (all) => {
    const desired = all.desired as { complaints?: unknown };
    return { ...all, desired: { ...desired, complaints: few(desired.complaints, 3) } };
  },
  (all) => ({ ...all, statusDetails: few(all.statusDetails, 3) }),
];

/** Shrinks a report to `max` bytes of JSON. `truncated` marks a report that was cut. */
export function fit(reported: Reported, max = MAX_BYTES): Reported {
  let fitting = reported;
  for (const cut of cuts) {
    if (sizeOf(fitting) <= max) return fitting;
    fitting = { ...cut(fitting), truncated: true };
  }
  return fitting;
}

/** Max size of a report as JSON, in bytes: half of IoT Hub's limit, as IoT Hub counts in another way. */
export const MAX_BYTES = 16 * 1024;
