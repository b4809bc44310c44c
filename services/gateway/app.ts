import { Readable } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { type FastifyInstance, fastify } from 'fastify';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { CLAIM_RENEW_MS, MAX_IDLE_CLAIM_MS } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Configuration, THIS_MACHINE } from '#proto/document/configuration.ts';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import type { Volume } from '#proto/volume/volume.ts';
import { registerApiRoutes } from './api/api.ts';
import { auditRequests } from './audit/audit-requests.ts';
import { GATHER_MS } from './audit/refusals.ts';
import { Access } from './auth/access.ts';
import { checkOrigin } from './auth/open-layer.ts';
import { LongPolls } from './children/long-poll.ts';
import { ContentCache } from './content/content-cache.ts';
import { IdleClaims } from './content/idle-claims.ts';
import { RunningHashes } from './content/running-hashes.ts';
import { API_VERSION, answerClientError, answerError } from './http/errors.ts';
import { checkLoginServer } from './http/login-server.ts';
import { MINIMUM_RATE } from './http/minimum-rate.ts';
import { Operators } from './http/operators.ts';
import { foldName } from './http/repository-name.ts';
import { traceRequests } from './http/traced-requests.ts';
import { TrustedProxies } from './http/trusted-proxies.ts';
import { HttpCounters } from './metrics/http-counters.ts';
import { registerPageRoutes } from './page/page-routes.ts';
import { registerArrivingRoutes } from './routes/arriving.ts';
import { registerBaseRoutes } from './routes/base.ts';
import { registerBlobRoutes } from './routes/blobs.ts';
import { registerChangeRoutes } from './routes/changes.ts';
import { registerChildRoutes } from './routes/children.ts';
import { registerDeltaRoutes } from './routes/deltas.ts';
import { registerManifestRoutes } from './routes/manifests.ts';
import { registerMetricsRoute } from './routes/metrics.ts';
import { registerReferrerRoutes } from './routes/referrers.ts';
import { registerReportRoutes } from './routes/reports.ts';
import type { Gateway, RouteTimes } from './routes/resource.ts';
import { registerTagRoutes } from './routes/tags.ts';
import { registerTokenRoutes } from './routes/token.ts';
import { registerUploadPartRoutes } from './routes/upload-parts.ts';
import { registerUploadRoutes } from './routes/uploads.ts';
import { secureOptions } from './tls/tls.ts';
import type { SniCallback } from './tls/workload-tls.ts';

export type AppOptions = {
  bus: Bus;
  volume: Volume;
  instance: string;
  mode: () => Mode | undefined;
  /** Configuration in force. `undefined`, or left out: the defaults apply. */
  configuration?: () => Configuration | undefined;
  log: Log;
  /** While the layer has no token: `true` lets everyone do everything, `false` admits nobody. */
  open: boolean;
  /** Certificate for HTTPS; plain HTTP if left out. */
  tls?: CertificateAndKey | undefined;
  /** Other certificates, by the server name that a client requests. */
  sni?: SniCallback | undefined;
  /** While the layer is open, everyone may also operate it: only if no other machine reaches it. Left out: nobody. */
  openOperate?: boolean;
  /** While the layer is open, accept any host name, not only those of this machine. */
  anyName?: boolean;
  /** No other gateway of the layer takes writes. Left out: others may exist. */
  alone?: boolean;
  times?: Partial<RouteTimes>;
  /** Time of sessions, in ms since 1970. Left out: that of the machine. */
  now?: () => number;
};

const TIMES: RouteTimes = {
  idleMs: 60_000,
  minimumRate: MINIMUM_RATE,
  renewMs: CLAIM_RENEW_MS,
  idleClaimMs: MAX_IDLE_CLAIM_MS,
  lingerMs: 5_000,
  recheckMs: 1_000,
  gatherMs: GATHER_MS,
  patienceMs: 5_000,
};

const http = { headersTimeout: 30_000, maxHeaderSize: 128 * 1024 };

const MEDIA_TYPE = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(;|$)/;

/** Time for running streams to finish when the process ends, in ms. */
const LAST_STREAMS_MS = 2_500;

/** All routes of the gateway. */
export const routes: readonly ((app: FastifyInstance, gateway: Gateway) => void)[] = [
  registerBaseRoutes,
  registerTokenRoutes,
  registerBlobRoutes,
  registerUploadRoutes,
  registerUploadPartRoutes,
  registerManifestRoutes,
  registerTagRoutes,
  registerReferrerRoutes,
  registerChangeRoutes,
  registerChildRoutes,
  registerReportRoutes,
  registerArrivingRoutes,
  registerDeltaRoutes,
  registerMetricsRoute,
  registerApiRoutes,
  registerPageRoutes,
];

/** Builds the HTTP server without listening. `routes/` holds its endpoints, `Gateway` what they share. */
export function buildApp({
  times,
  tls,
  sni,
  open,
  openOperate = false,
  anyName = false,
  alone = false,
  now,
  ...options
}: AppOptions): {
  app: FastifyInstance;
  gateway: Gateway;
} {
  const limits = { ...TIMES, ...times };
  const { bus, log, configuration = () => undefined } = options;
  const secure = tls && { handshakeTimeout: 30_000, ...secureOptions, ...tls, ...sniOptions(sni) };
  const operators = new Operators({
    log,
    listen: () => configuration()?.operate?.listen,
    server: { ...http, ...secure },
    isTls: tls !== undefined,
  });
  const access = new Access({
    bus,
    configuration,
    open,
    openOperate: () => openOperate && operators.isLocal,
    patienceMs: limits.patienceMs,
    now,
    log,
  });
  const cache = new ContentCache(bus, limits.patienceMs, alone);
  const proxies = new TrustedProxies(() => configuration()?.trustedProxies ?? THIS_MACHINE);
  const app = fastify({
    trustProxy: proxies.trusts,
    rewriteUrl: (request) => foldName(request.url ?? '/'),
    routerOptions: { maxParamLength: 8_192 },
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // Uploads have no time limit: the readers of a body enforce its idle timeout.
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
    ...(secure ? { https: { ...http, ...secure } } : { http }),
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, log),
    clientErrorHandler: answerClientError,
  }) as FastifyInstance;

  if (tracer) traceRequests(app, tracer);
  app.decorateRequest('caller', null);
  // Bodies stay streams for every Content-Type; a route reads its body from the raw request.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));

  const loginServer = () => configuration()?.loginServer;
  const openLayer = {
    isOpen: () => access.authentication.isOpen(),
    loginServer,
    ownNamesOnly: !anyName,
  };
  const httpCounters = new HttpCounters();
  httpCounters.watch(app);
  // Hooks with a callback, as a promise for each would cost time that a request for a manifest notices.
  app.addHook('onRequest', (request, reply, done) => {
    httpCounters.begin(reply.raw);
    reply.header(...API_VERSION);
    // Answers as if there were no such route, also in the audit.
    if (!operators.serves(request)) return void reply.callNotFound();
    // Fastify rejects malformed Content-Type headers; treat them as absent.
    const { headers } = request.raw;
    const type = headers['content-type'];
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete headers['content-type'];
    // Operators reach their listener by its own address.
    checkLoginServer(request, operators.isOwn(request.raw) ? undefined : loginServer());
    const checked = checkOrigin(request, openLayer);
    if (!checked) done();
    else
      checked.then(
        () => done(),
        (error) => done(error),
      );
  });
  // A client that requests and reads nothing is disconnected. A stream, such as a blob or events, has its own limit.
  app.addHook('onSend', (_request, { raw }, payload, done) => {
    if (!(payload instanceof Readable)) raw.setTimeout(limits.idleMs, () => raw.destroy());
    done(null, payload);
  });
  // Drain an unread body, so that the client reads the response, but for at most `lingerMs`.
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    done();
    if (raw.complete || raw.destroyed) return;
    raw.resume();
    const timer = setTimeout(() => raw.socket.destroy(), limits.lingerMs).unref();
    raw.once('close', () => clearTimeout(timer));
  });
  const auditTrail = auditRequests(app, { bus, log, gatherMs: limits.gatherMs });
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler(async (request) => {
    throw new Fault(
      'name-unknown',
      `${request.method} ${request.originalUrl.split('?', 1)[0]?.slice(0, 200)} is not an endpoint of this registry`,
    );
  });

  const gateway: Gateway = {
    ...options,
    configuration,
    operators,
    access,
    hashes: new RunningHashes(),
    idleClaims: new IdleClaims(limits.idleClaimMs),
    cache,
    longPolls: new LongPolls(),
    pending: new Set(),
    times: limits,
    auditTrail,
    httpCounters,
  };
  for (const register of routes) register(app, gateway);
  operators.serve((request, response) => app.routing(request, response));
  return { app, gateway };
}

const sniOptions = (sni: SniCallback | undefined) =>
  sni && {
    SNICallback: (name: string, done: (error: null, context?: SecureContext) => void) =>
      done(null, sni(name)),
  };

/**
 * Closes idle connections at once and running streams after `LAST_STREAMS_MS`, then waits for the release of their
 * claims and for the last audit entries.
 */
export async function closeApp(app: FastifyInstance, gateway: Gateway): Promise<void> {
  const idle = setInterval(() => app.server.closeIdleConnections(), 100);
  const deadline = setTimeout(() => app.server.closeAllConnections(), LAST_STREAMS_MS);
  await app.close();
  clearInterval(idle);
  clearTimeout(deadline);
  await gateway.operators[Symbol.asyncDispose]();
  await Promise.allSettled(gateway.pending);
  await gateway.auditTrail[Symbol.asyncDispose]();
}
