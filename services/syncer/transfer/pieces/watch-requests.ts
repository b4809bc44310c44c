import type { EndConditions, RequestsInFlight } from './requests-in-flight.ts';

/** What is known of the connections, see `Slots` and `Gauge`. */
type Connections = {
  readonly freeShare: number;
  readonly gauge: Omit<EndConditions, 'freeShare'>;
};

/** Interval in which the rates of requests are measured, in ms, and in round trips: bytes come in bursts. */
const RATE_MS = 500;
const RATE_ROUND_TRIPS = 1.5;

/** Measures the requests of one transfer until it is disposed, and aborts late ones while `isAtEnd`. */
export function watchRequests(
  requests: RequestsInFlight,
  connections: Connections,
  isAtEnd: () => boolean,
): Disposable {
  const { gauge } = connections;
  const check = () => {
    requests.measure();
    if (!isAtEnd()) return;
    const { firstByteMs, roundTripMs, throughput } = gauge;
    requests.abortLate({ firstByteMs, roundTripMs, throughput, freeShare: connections.freeShare });
  };
  const timer = setInterval(check, Math.max(RATE_MS, RATE_ROUND_TRIPS * (gauge.roundTripMs ?? 0)));
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
