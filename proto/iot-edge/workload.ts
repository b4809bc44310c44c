import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../async/backoff.ts';
import { Fault } from '../contract/fault.ts';
import { formatSeconds } from '../contract/quantity-text.ts';
import type { ModuleIdentity, ServerCertificate } from './identity.ts';
import { parseWorkload, workloadPath } from './workload-responses.ts';

/**
 * Client of the workload API of IoT Edge's daemon (`edgelet/…/workload.yaml` of Azure/iotedge): identity of this
 * module, trust bundle, signatures by its key, and certificates for its server. Only processes of the module itself are
 * answered.
 *
 * `workloadOf` reads the environment that IoT Edge sets for a module. Each call then sends one request to the daemon,
 * retries while the daemon is unavailable, and parses the answer (workload-responses.ts). identity.ts has the types of
 * what it answers. Rules for the properties of a module twin are in twin-rules.ts.
 */

/** An `import` of node:http reads all of its exports, and one of them loads Node's own undici: 100 ms, and some MB. */
const { request } = process.getBuiltinModule('node:http');

/** Answers which certificates (PEM) this device trusts. */
export interface TrustProvider {
  trustBundle(signal?: AbortSignal): Promise<string>;
}

export type Workload = TrustProvider & {
  readonly identity: ModuleIdentity;
  /** HMAC-SHA256 of a text with the module's key, base64. */
  sign(text: string, signal?: AbortSignal): Promise<string>;
  /**
   * A new key and certificate for a server of this name (a DNS name, or an address), usually valid for 30 days.
   * @throws Fault, as the other methods: `unavailable` (the daemon is down, busy or slow), `denied`, `malformed`
   */
  serverCertificate(commonName: string, signal?: AbortSignal): Promise<ServerCertificate>;
};

/**
 * Timeout of each attempt, and first pause before the next, in ms. Attempts are few: the daemon restarts within
 * seconds, and callers have retry loops of their own.
 */
export type WorkloadTiming = { timeout: number; attempts: number; pause: number };
const MAX_PAUSE_MS = 10_000;
const TIMING: WorkloadTiming = { timeout: 20_000, attempts: 4, pause: 250 };

/** Old daemons support no newer version, and new daemons still support this one. */
const SIGN_VERSION = '2018-06-28';
const CERTIFICATE_VERSION = '2020-07-07';
/** Requested lifetime of a certificate: old daemons require it, current ones ignore it. */
const LIFETIME_MS = 90 * 24 * 60 * 60_000;

/**
 * @param env `IOTEDGE_WORKLOADURI`, `IOTEDGE_MODULEID`, `IOTEDGE_MODULEGENERATIONID`, `IOTEDGE_DEVICEID`,
 *   `IOTEDGE_IOTHUBHOSTNAME`, `IOTEDGE_GATEWAYHOSTNAME`, `IOTEDGE_PARENTHOSTNAME`
 * @returns undefined if this process is not a module of IoT Edge
 * @throws Fault `config-invalid`, which names the variable
 */
export function workloadOf(
  env: NodeJS.ProcessEnv,
  timing: Partial<WorkloadTiming> = {},
): Workload | undefined {
  const uri = env.IOTEDGE_WORKLOADURI;
  if (!uri) return undefined;
  const required = (name: string): string => {
    const value = env[name];
    if (value) return value;
    throw new Fault(
      'config-invalid',
      `${name} is missing: IoT Edge sets it for each module, like IOTEDGE_WORKLOADURI`,
    );
  };
  const parent = env.IOTEDGE_PARENTHOSTNAME;
  const identity: ModuleIdentity = {
    module: required('IOTEDGE_MODULEID'),
    generation: required('IOTEDGE_MODULEGENERATIONID'),
    device: required('IOTEDGE_DEVICEID'),
    hub: required('IOTEDGE_IOTHUBHOSTNAME'),
    gateway: required('IOTEDGE_GATEWAYHOSTNAME'),
    ...(parent && { parent }),
  };
  const ask = withRetry(endpointOf(uri), { ...TIMING, ...timing });
  const modulePath = (operation: string, version: string) => workloadPath(identity, operation, version);
  return {
    identity,
    trustBundle: async (signal) =>
      parseWorkload.bundle(await ask('GET', `/trust-bundle?api-version=${SIGN_VERSION}`, undefined, signal)),
    sign: async (text, signal) => {
      const data = Buffer.from(text).toString('base64');
      const body = { keyId: 'primary', algo: 'HMACSHA256', data };
      return parseWorkload.digest(await ask('POST', modulePath('sign', SIGN_VERSION), body, signal));
    },
    serverCertificate: async (commonName, signal) => {
      const body = { commonName, expiration: new Date(Date.now() + LIFETIME_MS).toISOString() };
      const path = modulePath('certificate/server', CERTIFICATE_VERSION);
      return parseWorkload.certificate(await ask('POST', path, body, signal));
    },
  };
}

type Endpoint = { socketPath: string } | { host: string; port: number };

function endpointOf(uri: string): Endpoint {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url?.protocol === 'unix:' && url.pathname.length > 1) {
    return { socketPath: decodeURIComponent(url.pathname) };
  }
  if (url?.protocol === 'http:') return { host: url.hostname, port: Number(url.port || 80) };
  throw new Fault(
    'config-invalid',
    `IOTEDGE_WORKLOADURI ${JSON.stringify(uri)} is not valid: write unix:///path or http://host:port`,
  );
}

type Ask = (
  method: 'GET' | 'POST',
  path: string,
  body: object | undefined,
  signal: AbortSignal | undefined,
) => Promise<string>;

/** The daemon accepts ten requests at a time and closes the others unanswered: those are retried. */
function withRetry(endpoint: Endpoint, { timeout, attempts, pause }: WorkloadTiming): Ask {
  return async (method, path, body, signal) => {
    for (let attempt = 1; ; attempt += 1) {
      const limit = AbortSignal.timeout(timeout);
      try {
        return await requestOnce(
          endpoint,
          method,
          path,
          body,
          signal ? AbortSignal.any([signal, limit]) : limit,
        );
      } catch (error) {
        signal?.throwIfAborted();
        const isTemporary = !Fault.is(error) || error.code === 'unavailable';
        if (!isTemporary) throw error;
        if (attempt >= attempts) throw Fault.is(error) ? error : unavailable(error, limit.aborted, timeout);
        const ms = backoffMs(attempt, { firstMs: pause, maxMs: MAX_PAUSE_MS });
        await sleep(ms, undefined, signal ? { signal } : {});
      }
    }
  };
}

function unavailable(cause: unknown, slow: boolean, timeout: number): Fault {
  const why = slow ? `did not answer in ${formatSeconds(timeout)}` : reason(cause);
  return new Fault('unavailable', `IoT Edge's workload API ${why}`, { cause });
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `is not reachable (${code})`;
  return code === 'ECONNRESET'
    ? 'closed the connection without an answer'
    : `request failed (${code ?? 'unknown error'})`;
}

/** Max size of an answer, in bytes. A valid one has a few KiB. */
const MAX_BYTES = 1 << 20;

function requestOnce(
  endpoint: Endpoint,
  method: string,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<string> {
  const payload = body && JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = {
      host: 'workload',
      ...(payload && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    };
    const sending = request({ ...endpoint, method, path, headers, signal, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_BYTES)
          answer.destroy(
            new Fault('malformed', `the answer of the workload API has more than ${MAX_BYTES} bytes`),
          );
        else parts.push(part);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        const status = answer.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve(text);
        else reject(parseWorkload.refusal(status, text, `${method} ${path.split('?')[0]}`));
      });
    });
    sending.on('error', reject);
    sending.end(payload);
  });
}
