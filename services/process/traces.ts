import { setTimeout as sleep } from 'node:timers/promises';
import { setTracer } from '#proto/tracing/tracer.ts';
import type { TracesOptions } from './open-telemetry.ts';

/** Max time for the last spans to be sent when the process ends, in ms. */
const LAST_SPANS_MS = 1_000;

export type Traces = {
  /** Sends what is queued, within this time, and 1 s at most. @returns whether all was sent */
  end(ms: number): Promise<boolean>;
};

/** Where spans go, by the variables of OpenTelemetry's specification; undefined: traces are off. */
export function exporterOf(env: NodeJS.ProcessEnv): 'otlp' | 'console' | undefined {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return undefined;
  const named = env.OTEL_TRACES_EXPORTER?.trim().toLowerCase();
  if (named) return named === 'otlp' || named === 'console' ? named : undefined;
  return env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT ? 'otlp' : undefined;
}

const protocolOf = (env: NodeJS.ProcessEnv): string | undefined =>
  env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;

/** Turns traces on if the environment says so. Loads OpenTelemetry only then, and never throws. */
export async function startTraces(options: TracesOptions): Promise<Traces | undefined> {
  const { env, log } = options;
  const exporter = exporterOf(env);
  const { OTEL_TRACES_EXPORTER: named = '' } = env;
  if (!exporter) {
    if (named && !['none', 'otlp', 'console'].includes(named.trim().toLowerCase()))
      log.warn(
        {},
        'OTEL_TRACES_EXPORTER is not supported, so there are no traces: set otlp, console or none',
      );
    return undefined;
  }
  if (exporter === 'otlp' && protocolOf(env) === 'grpc')
    log.warn(
      {},
      'OTEL_EXPORTER_OTLP_PROTOCOL names grpc, and traces are sent over HTTP: name the port of the collector for HTTP, which is 4318 by default',
    );
  try {
    const { openTelemetry } = await import('./open-telemetry.ts');
    const { tracer, end } = openTelemetry(exporter, options);
    setTracer(tracer);
    log.info({ exporter }, 'traces are on');
    return {
      end: async (ms) => {
        const sent = end().then(
          () => true,
          () => false,
        );
        const sending = new AbortController();
        const { signal } = sending;
        const timeout = sleep(Math.min(LAST_SPANS_MS, Math.max(0, ms)), false, { signal }).catch(() => false);
        return await Promise.race([sent, timeout]).finally(() => sending.abort());
      },
    };
  } catch (err) {
    log.warn({ err }, 'traces could not be turned on: check the variables OTEL_…');
    return undefined;
  }
}
