import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { HTTP_BOUNDS_S, type HttpMetrics } from '#proto/status/process-metrics.ts';
import { routeOf } from './route-classes.ts';

/** Statuses that are counted by themselves; all others are counted together. */
const STATUSES = [
  ...[
    200, 201, 202, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416, 421,
  ],
  ...[422, 429, 431, 500, 501, 502, 503, 504, 507],
];
const OTHER = STATUSES.length;
const ABORTED = OTHER + 1;
/** Index in the counts of an endpoint, by status. */
const indexOf = new Uint8Array(1_000).fill(OTHER);
for (const [index, status] of STATUSES.entries()) indexOf[status] = index;

/** Requests of one group of paths, by one method. */
class EndpointCounters {
  readonly route: string;
  readonly method: string;
  readonly codes = new Float64Array(ABORTED + 1);
  readonly buckets = new Float64Array(HTTP_BOUNDS_S.length + 1);
  seconds = 0;

  constructor(route: string, method: string) {
    this.route = route;
    this.method = method;
  }

  add(code: number, seconds: number): void {
    this.codes[code] = (this.codes[code] as number) + 1;
    let bucket = 0;
    while (bucket < HTTP_BOUNDS_S.length && seconds > (HTTP_BOUNDS_S[bucket] as number)) bucket += 1;
    this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
    this.seconds += seconds;
  }
}

const BEGUN = Symbol('begun');
const ENDPOINT = Symbol('endpoint');
type Counted = ServerResponse & { [BEGUN]: number; [ENDPOINT]: EndpointCounters };

/**
 * Counts the requests of this process, since its start. A request costs two readings of the clock and one listener, and
 * allocates nothing else: the hottest path answers some thousand a second.
 */
export class HttpCounters {
  /** Requests that are not answered yet. */
  inFlight = 0;
  readonly #endpoints = new Map<string, EndpointCounters>();
  /** Requests that are refused before they reach an endpoint. */
  readonly #others = this.#endpoint('other', 'other');
  readonly #onClose: (this: ServerResponse) => void;

  constructor() {
    const ended = (response: Counted) => {
      this.inFlight -= 1;
      const { statusCode, writableFinished } = response;
      const code = writableFinished ? (indexOf[statusCode] ?? OTHER) : ABORTED;
      response[ENDPOINT].add(code, (performance.now() - response[BEGUN]) / 1_000);
    };
    this.#onClose = function () {
      ended(this as Counted);
    };
  }

  /** Counts requests by the endpoints that are registered from now on. */
  watch(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      const { handler } = route;
      const endpoint = this.#endpoint(routeOf(route.url), String(route.method));
      route.handler = function (request, reply) {
        (reply.raw as Counted)[ENDPOINT] = endpoint;
        return handler.call(this, request, reply);
      };
    });
  }

  /** To be called once for each request. */
  begin(response: ServerResponse): void {
    this.inFlight += 1;
    const counted = response as Counted;
    counted[BEGUN] = performance.now();
    counted[ENDPOINT] = this.#others;
    response.on('close', this.#onClose);
  }

  /** What was counted; endpoints without a request are left out. */
  read(): HttpMetrics {
    const endpoints = [...this.#endpoints.values()].map(({ route, method, codes, buckets, seconds }) => ({
      route,
      method,
      codes: Object.fromEntries([...codes.entries()].flatMap(namedCode)),
      duration: { buckets: [...buckets], seconds },
    }));
    return {
      inFlight: this.inFlight,
      endpoints: endpoints.filter(({ codes }) => Object.keys(codes).length > 0),
    };
  }

  /** Paths of one group share their counters. */
  #endpoint(route: string, method: string): EndpointCounters {
    const key = `${route} ${method}`;
    const known = this.#endpoints.get(key);
    if (known) return known;
    const added = new EndpointCounters(route, method);
    this.#endpoints.set(key, added);
    return added;
  }
}

function namedCode([index, count]: [number, number]): [string, number][] {
  if (count === 0) return [];
  const name = index === ABORTED ? 'aborted' : index === OTHER ? 'other' : String(STATUSES[index]);
  return [[name, count]];
}
