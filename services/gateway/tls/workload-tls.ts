import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Server } from 'node:https';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';
import { CertificatesDue, type Issued } from './certificates-due.ts';
import { type Pair, secureOptions } from './tls.ts';

/** Clocks jump, and machines sleep: the time is looked at, not waited for. In ms. */
const POLL_MS = 60_000;
const START_LOOK_MS = 500;

/** What clients are shown by the name that they ask for; those that ask by an address send none. */
export type Sni = (name: string) => SecureContext | undefined;

/**
 * Certificates of IoT Edge's daemon, one for each name by which clients know this machine. Each has one name, so it is
 * chosen by the name that the client sends (RFC 6066, 3); who sends none, or another, gets the one for an address, where
 * there is one.
 */
export class WorkloadTls {
  readonly #names: string[];
  readonly #due: CertificatesDue;
  readonly #contexts = new Map<string, SecureContext>();

  /** @param names DNS names or addresses; the device's own where there are none */
  constructor(workload: Workload, names: string[], log: Log, signal: AbortSignal, now = Date.now) {
    this.#names = names.length > 0 ? names : [workload.identity.gateway.replace(/:\d+$/, '')];
    this.#due = new CertificatesDue(this.#names, (name) => issue(workload, name, signal), log, now);
  }

  /** Resolves with the pair to begin with, once every name has its own; undefined where the signal aborted. */
  async start(signal: AbortSignal): Promise<Pair | undefined> {
    for (; !signal.aborted; await rest(START_LOOK_MS, signal)) {
      await this.#look();
      if (this.#due.complete) return this.#fallback();
    }
    return undefined;
  }

  readonly sni: Sni = (name) => this.#contexts.get(name.toLowerCase());

  /** Puts new certificates in force as they are due: connections that are open stay. Ends with the signal. */
  async renew(
    server: Pick<Server, 'setSecureContext'>,
    signal: AbortSignal,
    pollMs = POLL_MS,
  ): Promise<void> {
    while (await rest(pollMs, signal)) {
      if ((await this.#look()).length === 0) continue;
      server.setSecureContext({ ...secureOptions, ...this.#fallback() });
    }
  }

  async #look(): Promise<string[]> {
    const changed = await this.#due.look();
    for (const name of changed) {
      const pair = this.#due.held(name)?.pair;
      this.#contexts.set(name.toLowerCase(), createSecureContext({ ...secureOptions, ...pair }));
    }
    return changed;
  }

  #fallback(): Pair | undefined {
    const name = this.#names.find((one) => isIP(one) !== 0) ?? this.#names[0] ?? '';
    return this.#due.held(name)?.pair;
  }
}

async function issue(workload: Workload, name: string, signal: AbortSignal): Promise<Issued> {
  const { certificate, privateKey } = await workload.serverCertificate(name, signal);
  const pair = { cert: certificate, key: privateKey };
  try {
    createSecureContext({ ...secureOptions, ...pair });
    const leaf = new X509Certificate(certificate);
    if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw new Error('the key is another one');
    return { pair, from: Date.parse(leaf.validFrom), until: Date.parse(leaf.validTo) };
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Fault('malformed', `the workload API gave a certificate that can't be used: ${why}`, { cause });
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  return !signal.aborted;
}

/** @returns the names, or undefined where certificates come from files. @throws Fault `config-invalid` */
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
