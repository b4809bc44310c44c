import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';
import { type IssuedCertificate, IssuedCertificates } from './issued-certificates.ts';
import type { CertificateHolder } from './renew-from-files.ts';
import { secureOptions } from './tls.ts';

/** Interval between checks of what is due, in ms. The clock is polled, since clocks jump and machines sleep. */
const POLL_MS = 60_000;
const START_POLL_MS = 500;

/** Certificate by the server name that a client requests; clients that connect to an address send none. */
export type SniCallback = (name: string) => SecureContext | undefined;

/**
 * Certificates of IoT Edge's daemon, one for each name by which clients know this machine. Each has one name, so it is
 * selected by the name that the client sends (RFC 6066, 3); without a name, or with another one, the client gets the
 * certificate for an address, if one exists, else the first.
 */
export class WorkloadTls {
  readonly #names: string[];
  readonly #due: IssuedCertificates;
  readonly #contexts = new Map<string, SecureContext>();

  /** @param names DNS names or addresses; if empty, the device's own */
  constructor(workload: Workload, names: string[], log: Log, signal: AbortSignal, now = Date.now) {
    this.#names = names.length > 0 ? names : [workload.identity.gateway.replace(/:\d+$/, '')];
    this.#due = new IssuedCertificates(this.#names, (name) => issue(workload, name, signal), log, now);
  }

  /** Resolves with the initial pair once every name has a certificate; undefined if the signal aborted. */
  async start(signal: AbortSignal): Promise<CertificateAndKey | undefined> {
    for (; !signal.aborted; await pause(START_POLL_MS, signal)) {
      await this.#check();
      if (this.#due.complete) return this.#fallback();
    }
    return undefined;
  }

  readonly sni: SniCallback = (name) => this.#contexts.get(name.toLowerCase());

  /** Installs new certificates as they are due: open connections stay. Ends with the signal. */
  async renew(server: CertificateHolder, signal: AbortSignal, pollMs = POLL_MS): Promise<void> {
    while (await pause(pollMs, signal)) {
      if ((await this.#check()).length === 0) continue;
      server.setSecureContext({ ...secureOptions, ...this.#fallback() });
    }
  }

  async #check(): Promise<string[]> {
    const changed = await this.#due.renewDue();
    for (const name of changed) {
      const pair = this.#due.held(name)?.pair;
      this.#contexts.set(name.toLowerCase(), createSecureContext({ ...secureOptions, ...pair }));
    }
    return changed;
  }

  #fallback(): CertificateAndKey | undefined {
    const name = this.#names.find((one) => isIP(one) !== 0) ?? this.#names[0] ?? '';
    return this.#due.held(name)?.pair;
  }
}

async function issue(workload: Workload, name: string, signal: AbortSignal): Promise<IssuedCertificate> {
  const { certificate, privateKey } = await workload.serverCertificate(name, signal);
  const pair = { cert: certificate, key: privateKey };
  try {
    createSecureContext({ ...secureOptions, ...pair });
    const leaf = new X509Certificate(certificate);
    if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw new Error('the key does not match');
    return { pair, from: Date.parse(leaf.validFrom), until: Date.parse(leaf.validTo) };
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Fault('malformed', `the workload API returned an unusable certificate: ${why}`, { cause });
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  return !signal.aborted;
}

/** @returns the names, or undefined if certificates are read from files. @throws Fault `config-invalid` */
export function workloadNames(env: NodeJS.ProcessEnv): string[] | undefined {
  const { TERRACE_TLS: kind = '', TERRACE_TLS_NAMES: names = '' } = env;
  if (kind === '') return undefined;
  if (kind !== 'workload') {
    throw new Fault('config-invalid', `TERRACE_TLS "${kind}" is not valid: write workload, or leave it out`);
  }
  if (!env.IOTEDGE_WORKLOADURI) {
    throw new Fault(
      'config-invalid',
      'TERRACE_TLS=workload needs IOTEDGE_WORKLOADURI, which IoT Edge sets for its modules: name files (tls) instead',
    );
  }
  return names
    .split(/[\s,]+/)
    .map((name) => name.replace(/^\[(.*)\]$/, '$1'))
    .filter(Boolean);
}
