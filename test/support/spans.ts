import type { TestContext } from 'node:test';
import { setTracer } from '#proto/tracing/tracer.ts';
import { openTelemetry } from '../../services/process/open-telemetry.ts';

type Line = Record<string, unknown> & { text: string };

/** A log that keeps its lines. */
export function testLog() {
  const lines: Line[] = [];
  const write = (fields: object, text = '') => void lines.push({ ...fields, text });
  return { lines, debug: write, info: write, warn: write, error: write };
}

/** A tracer for the code under test, until the test ends. `ended` returns the spans in the order of their end. */
export function testTracer(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const log = testLog();
  const { tracer: made, end } = openTelemetry('console', { env, layer: 'plant', service: 'storage', log });
  setTracer(made);
  t.after(() => setTracer(undefined));
  return {
    tracer: made,
    log,
    ended: async () => {
      await end();
      return log.lines.filter(({ text }) => text === 'span');
    },
  };
}
