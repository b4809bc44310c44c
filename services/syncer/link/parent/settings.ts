import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { passwordIn } from '#proto/accounts/password-hash.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { type CertificateAndKey, checkPair, type PairFiles, readPair } from '#proto/http/certificate-pair.ts';
import { renamesOf } from '#proto/oci/repository-names.ts';
import type { SharedBandwidth } from '../bandwidth/bandwidth.ts';
import type { TrustSource } from '../login/trust-bundle.ts';
import type { ClientCache, ParentClients } from './client-cache.ts';

/** The configuration in force, and the clients of the parent that it names. */
export class SyncerSettings implements AsyncDisposable {
  /** The bandwidth of the link, as configured now. */
  readonly bandwidth: SharedBandwidth;
  readonly #trust: TrustSource | undefined;
  readonly #stallMs: number | undefined;
  readonly #log: Log | undefined;
  /** Loaded on first use: a layer without a parent needs none of it. */
  #clients: Promise<ClientCache> | undefined;
  #configuration: Configuration | undefined;

  /**
   * @param stallMs a connection to the parent without progress for this time fails, in ms
   * @param trust certificates to trust for the parent, in addition to `caFile` and the machine's
   */
  constructor(bandwidth: SharedBandwidth, stallMs?: number, trust?: TrustSource, log?: Log) {
    this.#trust = trust;
    this.bandwidth = bandwidth;
    this.#stallMs = stallMs;
    this.#log = log;
  }

  set(configuration: Configuration): void {
    this.#configuration = configuration;
    this.bandwidth.set(configuration.bandwidth);
  }

  /** @throws Fault `config-invalid` if the layer has no configuration yet, or no parent */
  get(): Configuration & { parent: NonNullable<Configuration['parent']> } {
    const { parent } = this.#configuration ?? {};
    if (!this.#configuration || !parent) {
      throw new Fault('config-invalid', 'this layer has no parent: set parent.url (--parent URL)');
    }
    return { ...this.#configuration, parent };
  }

  get hasParent(): boolean {
    return this.#configuration?.parent !== undefined;
  }

  /** Webhooks, as configured now. */
  get receivers(): Receiver[] {
    return this.#configuration?.notifications.webhooks ?? [];
  }

  /** Closes the connections to the parent, see `ParentLink.closeIdle`. */
  closeIdle(): void {
    void this.#clients?.then((clients) => clients.closeIdle()).catch(() => {});
  }

  /** When the certificate of the parent ends, as of the last connection; undefined while it is unknown. */
  async certificateEnds(): Promise<number | undefined> {
    return (await this.#clients?.catch(() => undefined))?.certificateEnds;
  }

  /**
   * The clients of the parent. A caller with several requests to the parent calls this once and uses the result for all
   * of them: the password and certificate files are read again on each call, and may have changed.
   * @throws Fault `config-invalid`
   */
  async clients(): Promise<ParentClients> {
    const { parent, name, repositories } = this.get();
    const { username, passwordFile, caFile, certificateFile, keyFile, azure } = parent;
    const login = username === undefined ? undefined : { username, password: await password(passwordFile) };
    const secretFile = azure?.clientSecretFile;
    const secret = secretFile && (await password(secretFile, 'parent.azure.clientSecretFile'));
    const ca = joined(
      caFile === undefined ? undefined : await certificates(caFile),
      await this.#trust?.get(),
    );
    const certificate =
      certificateFile === undefined || keyFile === undefined
        ? undefined
        : await clientCertificate({ certificateFile, keyFile });
    const cache = await this.#cache();
    return cache.get({
      ...parent,
      name,
      login,
      secret,
      ca,
      certificate,
      renames: renamesOf(repositories),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const cache = await this.#clients;
    await cache?.[Symbol.asyncDispose]();
  }

  #cache(): Promise<ClientCache> {
    this.#clients ??= import('./client-cache.ts').then(
      (loaded) => new loaded.ClientCache(this.bandwidth, this.#stallMs, this.#log),
    );
    return this.#clients;
  }
}

const joined = (...certificates: (string | undefined)[]): string | undefined =>
  certificates.filter(Boolean).join('\n') || undefined;

async function password(file: string | undefined, field = 'parent.passwordFile'): Promise<string> {
  if (file === undefined) return '';
  try {
    return passwordIn(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new Fault('config-invalid', `${field} ${file} can't be read`, { cause });
  }
}

/** Fails if the pair can't be used: the parent would refuse each request without saying why. */
async function clientCertificate(files: PairFiles): Promise<CertificateAndKey> {
  const pair = await readPair(files, 'parent');
  checkPair(pair, files, 'parent');
  return pair;
}

/** Fails if the file can't be used: the link must end up trusting neither no certificate nor every certificate. */
async function certificates(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8');
    createSecureContext({ ca: text });
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (cause) {
    throw new Fault('config-invalid', `parent.caFile ${file} can't be read as certificates (PEM)`, { cause });
  }
  throw new Fault('config-invalid', `parent.caFile ${file} holds no certificate (PEM)`);
}
