import type { Reported } from './reported.ts';

const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const few = <T>(list: unknown, most: number) => (Array.isArray(list) ? (list as T[]).slice(0, most) : list);

/** What goes first where it is too much. */
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

/** As much of it as a twin takes; `truncated` says that it is not all. */
export function fit(reported: Reported, most = MAX_BYTES): Reported {
  let fitting = reported;
  for (const cut of cuts) {
    if (sizeOf(fitting) <= most) return fitting;
    fitting = { ...cut(fitting), truncated: true };
  }
  return fitting;
}

/** Bytes of JSON in all: half of what IoT Hub takes, as it counts in another way. */
export const MAX_BYTES = 16 * 1024;
