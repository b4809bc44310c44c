import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, getCACertificates } from 'node:tls';
import { Fault } from '#proto/contract/fault.ts';
import type { SyslogTarget } from '#proto/document/audit.ts';
import { checkPair, readPair } from '#proto/http/certificate-pair.ts';
import { ADDRESS_MS } from '#proto/process/address-timeout.ts';
import { certificateHint } from '#proto/process/clock-hint.ts';
import { unacknowledged } from './kernel-queue.ts';

/** Idle time after which the kernel probes the other side, each second, ten times, in ms. */
const PROBE_MS = 30_000;

/** A connection to a syslog receiver, which never answers. */
export class SyslogConnection implements AsyncDisposable {
  readonly #socket: Socket;
  /** Resolves when the connection is closed, with the cause. */
  readonly closed: Promise<Error>;
  #cause: Error | undefined;
  #failWrite: (cause: Error) => void = () => {};

  /**
   * Reads the certificate files and connects.
   * @param timeoutMs max time for all of it
   * @throws Fault `config-invalid`, which names the file; Error with the cause
   */
  static async connect(
    target: SyslogTarget,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<SyslogConnection> {
    const security = target.tls ? await securityOf(target) : undefined;
    signal.throwIfAborted();
    const { host, port } = target;
    const options = { host, port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ADDRESS_MS };
    const servername = isIP(host) ? {} : { servername: host };
    const socket = security ? connectTls({ ...options, ...servername, ...security }) : connectTcp(options);
    const connection = new SyslogConnection(socket);
    const abort = () => connection.destroy(new Error('ended'));
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(
      () => connection.destroy(new Error(`no connection in ${Math.round(timeoutMs / 1_000)} s`)),
      timeoutMs,
    );
    try {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.once(security ? 'secureConnect' : 'connect', resolve);
      const error = await Promise.race([promise, connection.closed]);
      if (error) throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
    return connection;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.closed = promise;
    void promise.then((cause) => {
      this.#cause = cause;
      this.#failWrite(cause);
    });
    socket.once('error', resolve);
    // An error after the first one is of no interest, but must have a listener.
    socket.on('error', () => {});
    socket.once('close', () => resolve(new Error('the receiver closed the connection')));
    socket.setKeepAlive(true, PROBE_MS);
    socket.setNoDelay(true);
    // Its end is noticed only if what it sends is read.
    socket.resume();
  }

  /**
   * Resolves when the kernel has all of the bytes. One call at a time.
   * @throws the cause of the end of the connection
   */
  write(bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // The end of the connection ends the wait, whether or not the write is called back.
    this.#failWrite = reject;
    if (this.#cause) reject(this.#cause);
    else this.#socket.write(bytes, (error) => !error && resolve());
    return promise;
  }

  /** See `unacknowledged` in kernel-queue.ts. */
  unacknowledged(): Promise<number | undefined> {
    return unacknowledged(this.#socket);
  }

  /** Sends the end. @returns whether the receiver ended its side, too, without an error: it has read everything */
  async end(): Promise<boolean> {
    if (this.#socket.destroyed) return false;
    let failed = false;
    this.#socket.once('error', () => {
      failed = true;
    });
    const ended = new Promise<void>((resolve) => {
      this.#socket.once('end', resolve);
    });
    this.#socket.end();
    await Promise.race([ended, this.closed]);
    return !failed && this.#socket.readableEnded;
  }

  destroy(cause: Error): void {
    this.#socket.destroy(cause);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }
}

/** The files of the certificates, as they are now. @throws Fault `config-invalid` */
async function securityOf({ caFile, certificateFile, keyFile }: SyslogTarget) {
  const ca = caFile === undefined ? {} : { ca: [...getCACertificates('default'), await authorities(caFile)] };
  if (certificateFile === undefined || keyFile === undefined)
    return { minVersion: 'TLSv1.2', ...ca } as const;
  const files = { certificateFile, keyFile };
  const pair = await readPair(files, 'audit.syslog');
  checkPair(pair, files, 'audit.syslog');
  return { minVersion: 'TLSv1.2', ...ca, ...pair } as const;
}

async function authorities(file: string): Promise<string> {
  const invalid = (why: string, cause?: unknown) =>
    new Fault(
      'config-invalid',
      `audit.syslog.caFile "${file}" ${why}: write the CA certificates to it, as PEM`,
      {
        cause,
      },
    );
  try {
    const text = await readFile(file, 'utf8');
    createSecureContext({ ca: text });
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (cause) {
    throw invalid("can't be read as certificates", cause);
  }
  throw invalid('contains no certificate');
}

const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)|CERT_UNTRUSTED|CERT_SIGNATURE/;
/** Alerts of a receiver that refuses a client without a certificate, or with one that it does not trust. */
const REFUSED =
  /ALERT_(?:HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_(?:UNKNOWN|EXPIRED|REVOKED)|ACCESS_DENIED)/;
/** Answers that are not TLS. */
const NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH|UNEXPECTED_MESSAGE|RECORD_LAYER/;

/** Why there is no connection, with the remedy if it is known. */
export function failureText(error: unknown): string {
  if (Fault.is(error)) return error.message;
  const { code = '', message, errors } = error as NodeJS.ErrnoException & { errors?: unknown[] };
  // Several addresses were tried: the first one counts.
  if (!message && errors?.[0]) return failureText(errors[0]);
  const remedy = certificateHint(code) ?? remedyOf(code);
  if (remedy) return `${code}: ${remedy}`;
  return message || code || 'no connection';
}

function remedyOf(code: string): string | undefined {
  if (UNTRUSTED.test(code)) {
    return 'its certificate is not trusted; if a private CA signed it, set audit.syslog.caFile to that CA';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'its certificate has another name: write the name in the certificate as audit.syslog.host';
  }
  if (REFUSED.test(code)) {
    return 'it refused the TLS connection; if it demands a client certificate, set audit.syslog.certificateFile and audit.syslog.keyFile to one that it trusts';
  }
  if (NO_TLS.test(code)) {
    return 'it does not speak TLS: name its port for TLS in audit.syslog.host, or write tls: false if the plant has no TLS';
  }
  return undefined;
}
