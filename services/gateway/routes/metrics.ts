import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../metrics/metrics.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

/** Metrics for Prometheus. What gathers them is loaded by the first scrape. */
export function registerMetricsRoute(app: FastifyInstance, gateway: Gateway): void {
  let metrics: Promise<Metrics> | undefined;
  const load = async () => {
    const { Metrics } = await import('../metrics/metrics.ts');
    return new Metrics(gateway.bus, () => gateway.configuration()?.name ?? '');
  };
  const handler: RouteHandler = async (request, reply) => {
    metrics ??= load();
    const { type, text } = await (await metrics).scrape(request.headers.accept);
    return reply.type(type).header('cache-control', 'no-store').send(text);
  };
  registerResource(app, gateway, '/metrics', {
    GET: {
      needs: 'operate/read',
      isFreeForOperators: true,
      handler,
      answer:
        '200: the metrics of the layer, in the format of OpenMetrics or of Prometheus, as `Accept` names it. On the listener of operators (`operate.listen`), it needs no login',
    },
  });
}
