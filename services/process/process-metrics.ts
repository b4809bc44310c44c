import { readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestServer, RoundTrip } from '#proto/bus/roles.ts';
import type { ServiceName } from '#proto/contract/users.ts';
import {
  metricsOfInstance,
  type ProcessMetrics,
  type ServiceMetrics,
} from '#proto/status/process-metrics.ts';

/** Delay of the timer whose lateness is the lag of the event loop, in ms: the shortest that Node knows. */
const TIMER_MS = 1;

/** Reads what a service counts itself; called when the metrics of its process are asked for. */
export type ReadServiceMetrics = () => ServiceMetrics | Promise<ServiceMetrics>;

/**
 * Answers requests for the metrics of this process. Everything is read then.
 * @returns sets what the service adds
 */
export function serveMetrics(
  bus: RequestServer & RoundTrip,
  service: ServiceName,
  instance: string,
  started: number,
): (read: ReadServiceMetrics) => void {
  let read: ReadServiceMetrics = () => ({});
  bus.serve(metricsOfInstance(service, instance), async () => {
    const [lag, roundTrip, own] = await Promise.all([loopLag(), roundTripOf(bus), read()]);
    return { ...ownProcess(instance, started, lag), bus: roundTrip, ...own };
  });
  return (reader) => {
    read = reader;
  };
}

function ownProcess(instance: string, started: number, lag: number): Omit<ProcessMetrics, 'bus'> {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const files = openFiles();
  return {
    instance,
    host: hostname(),
    pid: process.pid,
    started,
    node: process.version,
    cpu: { user: user / 1e6, system: system / 1e6 },
    memory: { resident: rss, heap: heapUsed },
    loop: { lag, active: performance.eventLoopUtilization().active / 1_000 },
    ...(files !== undefined && { files }),
  };
}

/** In s. */
async function loopLag(): Promise<number> {
  const begun = performance.now();
  await sleep(TIMER_MS, undefined, { ref: false });
  return Math.max(0, performance.now() - begun - TIMER_MS) / 1_000;
}

/** In s. */
async function roundTripOf(bus: RoundTrip): Promise<number> {
  const begun = performance.now();
  await bus.flush();
  return (performance.now() - begun) / 1_000;
}

function openFiles(): number | undefined {
  try {
    // The folder itself is open while it is read.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}
