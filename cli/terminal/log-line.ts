/** Levels of pino. */
const levels = { warn: 40, fatal: 60 } as const;

/** A line of the log of this process itself, in the form of those of the services. @param layer its name */
export function logLine(
  level: keyof typeof levels,
  layer: string,
  msg: string,
  fields: Record<string, unknown> = {},
): string {
  const entry = { level: levels[level], time: Date.now(), layer, pid: process.pid, service: 'layer' };
  return JSON.stringify({ ...entry, ...fields, msg });
}
