import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../async/backoff.ts';
import { Fault } from '../contract/fault.ts';
import type { ModuleIdentity, ServerCertificate } from './identity.ts';
import { parseWorkload, workloadPath } from './workload-responses.ts';

/**
 * The workload API of IoT Edge's daemon (`edgelet/…/workload.yaml` of Azure/iotedge): who this module is, what it may
 * trust, signatures by its key, and certificates for its server. Only processes of the module itself are answered.
 */

export type Workload = {
  readonly identity: ModuleIdentity;
  /** Certificates (PEM) that this device trusts. */
  trustBundle(signal?: AbortSignal): Promise<string>;
  /** HMAC-SHA256 of a text with the module's key, base64. */
  sign(text: string, signal?: AbortSignal): Promise<string>;
  /**
   * A new key and certificate for a server of this name (a DNS name, or an address), 30 days as a rule.
   * @throws Fault, as the others do: `unavailable` (the daemon is away, busy or slow), `denied`, `malformed`
   */
  serverCertificate(commonName: string, signal?: AbortSignal): Promise<ServerCertificate>;
};

/** Of each attempt, and before the next, in ms. The daemon restarts in seconds; whoever asks has a loop of its own. */
export type WorkloadTiming = { timeout: number; attempts: number; pause: number };
const MAX_PAUSE_MS = 10_000;
const TIMING: WorkloadTiming = { timeout: 20_000, attempts: 4, pause: 250 };

/** Old daemons know no newer one, and new daemons know this one. */
const SIGN_VERSION = '2018-06-28';
const CERTIFICATE_VERSION = '2020-07-07';
/** What old daemons insist on being told; today's ignore it. */
const LIFETIME_MS = 90 * 24 * 60 * 60_000;

/**
 * @param env `IOTEDGE_WORKLOADURI`, `IOTEDGE_MODULEID`, `IOTEDGE_MODULEGENERATIONID`, `IOTEDGE_DEVICEID`,
 *   `IOTEDGE_IOTHUBHOSTNAME`, `IOTEDGE_GATEWAYHOSTNAME`, `IOTEDGE_PARENTHOSTNAME`
 * @returns undefined where this process is no module of IoT Edge
 * @throws Fault `config-invalid`, which names the variable
 */
export function workloadOf(
  env: NodeJS.ProcessEnv,
  timing: Partial<WorkloadTiming> = {},
): Workload | undefined {
  const uri = env.IOTEDGE_WORKLOADURI;
  if (!uri) return undefined;
  const needed = (name: string): string => {
    const value = env[name];
    if (value) return value;
    throw new Fault(
      'config-invalid',
      `${name} is missing: IoT Edge sets it beside IOTEDGE_WORKLOADURI for each module`,
    );
  };
  const parent = env.IOTEDGE_PARENTHOSTNAME;
  const identity: ModuleIdentity = {
    module: needed('IOTEDGE_MODULEID'),
    generation: needed('IOTEDGE_MODULEGENERATIONID'),
    device: needed('IOTEDGE_DEVICEID'),
    hub: needed('IOTEDGE_IOTHUBHOSTNAME'),
    gateway: needed('IOTEDGE_GATEWAYHOSTNAME'),
    ...(parent && { parent }),
  };
  const ask = asker(whereOf(uri), { ...TIMING, ...timing });
  const own = (what: string, version: string) => workloadPath(identity, what, version);
  return {
    identity,
    trustBundle: async (signal) =>
      parseWorkload.bundle(await ask('GET', `/trust-bundle?api-version=${SIGN_VERSION}`, undefined, signal)),
    sign: async (text, signal) => {
      const data = Buffer.from(text).toString('base64');
      const body = { keyId: 'primary', algo: 'HMACSHA256', data };
      return parseWorkload.digest(await ask('POST', own('sign', SIGN_VERSION), body, signal));
    },
    serverCertificate: async (commonName, signal) => {
      const body = { commonName, expiration: new Date(Date.now() + LIFETIME_MS).toISOString() };
      const path = own('certificate/server', CERTIFICATE_VERSION);
      return parseWorkload.certificate(await ask('POST', path, body, signal));
    },
  };
}

type Where = { socketPath: string } | { host: string; port: number };

function whereOf(uri: string): Where {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url?.protocol === 'unix:' && url.pathname.length > 1) {
    return { socketPath: decodeURIComponent(url.pathname) };
  }
  if (url?.protocol === 'http:') return { host: url.hostname, port: Number(url.port || 80) };
  throw new Fault(
    'config-invalid',
    `IOTEDGE_WORKLOADURI ${JSON.stringify(uri)} is not valid: it is unix:///path or http://host:port`,
  );
}

type Asked = (
  method: 'GET' | 'POST',
  path: string,
  body: object | undefined,
  signal: AbortSignal | undefined,
) => Promise<string>;

/** The daemon takes ten requests at a time and closes the others unanswered: those are asked again. */
function asker(where: Where, { timeout, attempts, pause }: WorkloadTiming): Asked {
  return async (method, path, body, signal) => {
    for (let attempt = 1; ; attempt += 1) {
      const limit = AbortSignal.timeout(timeout);
      try {
        return await once(where, method, path, body, signal ? AbortSignal.any([signal, limit]) : limit);
      } catch (error) {
        signal?.throwIfAborted();
        const passing = !Fault.is(error) || error.code === 'unavailable';
        if (!passing) throw error;
        if (attempt >= attempts) throw Fault.is(error) ? error : away(error, limit.aborted, timeout);
        const ms = backoffMs(attempt, { firstMs: pause, maxMs: MAX_PAUSE_MS });
        await sleep(ms, undefined, signal ? { signal } : {});
      }
    }
  };
}

function away(cause: unknown, slow: boolean, timeout: number): Fault {
  const why = slow ? `did not answer in ${timeout} ms` : reason(cause);
  return new Fault('unavailable', `IoT Edge's workload API ${why}`, { cause });
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `is not there (${code})`;
  return code === 'ECONNRESET'
    ? 'closed the connection unanswered'
    : `can't be asked (${code ?? 'no reason given'})`;
}

/** An answer is a few KiB; one that goes on is none. */
const MAX_BYTES = 1 << 20;

function once(
  where: Where,
  method: string,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<string> {
  const sent = body && JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = {
      host: 'workload',
      ...(sent && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }),
    };
    const asked = request({ ...where, method, path, headers, signal, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_BYTES) answer.destroy(new Fault('malformed', "the workload API's answer has no end"));
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
    asked.on('error', reject);
    asked.end(sent);
  });
}
