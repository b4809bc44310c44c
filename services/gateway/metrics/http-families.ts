import { HTTP_BOUNDS_S, type HttpMetrics } from '#proto/status/process-metrics.ts';
import { counter, type Family, gauge, histogram } from './family.ts';
import type { Figures } from './figures.ts';

/** Requests of clients, operators and layers below. */

const gatewaysOf = ({ processes }: Figures): { instance: string; http: HttpMetrics }[] =>
  processes.flatMap(({ instance, http }) => (http ? [{ instance, http }] : []));

const endpointsOf = (figures: Figures) =>
  gatewaysOf(figures).flatMap(({ instance, http }) =>
    http.endpoints.map(({ route, method, ...figures }) => ({
      labels: { process: instance, route, method },
      ...figures,
    })),
  );

export const httpFamilies: Family[] = [
  counter(
    'http_requests',
    'Answered requests by group of paths, method and status. `aborted`: the client left before the end of its answer.',
    (figures) =>
      endpointsOf(figures).flatMap(({ labels, codes }) =>
        Object.entries(codes).map(([code, value]) => ({ labels: { ...labels, code }, value })),
      ),
    'process',
    'route',
    'method',
    'code',
  ),
  histogram(
    'http_request_duration_seconds',
    'Time from the head of a request to the end of its answer. A request of a layer below for news (`feed`, `arriving`) waits for up to a minute.',
    HTTP_BOUNDS_S,
    (figures) => endpointsOf(figures).map(({ labels, duration }) => ({ labels, ...duration })),
    'process',
    'route',
    'method',
  ),
  gauge(
    'http_requests_in_flight',
    'Requests that are not answered yet.',
    (figures) =>
      gatewaysOf(figures).map(({ instance, http }) => ({
        labels: { process: instance },
        value: http.inFlight,
      })),
    'process',
  ),
];
