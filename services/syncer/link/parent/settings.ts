import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { passwordIn } from '#proto/accounts/password-hash.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isAzure } from '#proto/document/azure.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import type { SharedBandwidth } from '../bandwidth/bandwidth.ts';
import { ParentLink } from '../http/link.ts';
import { identityOf } from '../login/identity.ts';
import type { TrustSource } from '../login/trust-bundle.ts';
import { AcrMetadata } from './acr-metadata.ts';
import { ParentActivation } from './activation.ts';
import { ParentArriving } from './arriving.ts';
import { ParentFeed } from './feed.ts';
import { ParentRegistry } from './parent.ts';
import { PushClient } from './push-client.ts';
import { ParentReports } from './reports.ts';

/** The clients of one parent and one login, over one link. */
export type ParentClients = {
  parent: ParentRegistry;
  pushClient: PushClient;
  /** The change feed of a Terrace. */
  feed: ParentFeed;
  /** Sends this layer's status to a Terrace. */
  reports: ParentReports;
  /** This layer's place at a Terrace. */
  activation: ParentActivation;
  /** Content that a Terrace is still receiving itself. */
  arriving: ParentArriving;
  /** Metadata of an Azure Container Registry; undefined if the parent is none. */
  acr: AcrMetadata | undefined;
};

/** The configuration in force, and the clients of the parent that it names. */
export class ParentSettings implements AsyncDisposable {
  /** The bandwidth of the link, as configured now. */
  readonly bandwidth: SharedBandwidth;
  readonly #stallMs: number | undefined;
  readonly #trust: TrustSource | undefined;
  #configuration: Configuration | undefined;
  #current: { fingerprint: string; link: ParentLink; clients: ParentClients } | undefined;
  /** Links of earlier configurations, held weakly: they live while a pass or a transfer uses them. */
  #old: WeakRef<ParentLink>[] = [];

  /**
   * @param stallMs a connection to the parent without progress for this time fails, in ms
   * @param trust certificates to trust for the parent, in addition to `caFile` and the machine's
   */
  constructor(bandwidth: SharedBandwidth, stallMs?: number, trust?: TrustSource) {
    this.#trust = trust;
    this.bandwidth = bandwidth;
    this.#stallMs = stallMs;
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

  /** Closes the connections to the parent, see `ParentLink.rest`. */
  rest(): void {
    for (const link of this.#links()) link.rest();
  }

  /**
   * The clients of the parent. A caller with several requests to the parent calls this once and uses the result for all
   * of them: the password and CA files are read again on each call, and may have changed.
   * @throws Fault `config-invalid`
   */
  async clients(): Promise<ParentClients> {
    const { parent, name } = this.get();
    const { url, username, passwordFile, caFile, azure, allowedHosts } = parent;
    const login = username === undefined ? undefined : { username, password: await password(passwordFile) };
    const secretFile = azure?.clientSecretFile;
    const secret = secretFile && (await password(secretFile, 'parent.azure.clientSecretFile'));
    const ca = joined(
      caFile === undefined ? undefined : await certificates(caFile),
      await this.#trust?.get(),
    );
    const fingerprint = JSON.stringify([url, login, ca, name, azure, secret, allowedHosts]);
    if (this.#current?.fingerprint !== fingerprint) {
      const { bandwidth } = this;
      const identity = azure && identityOf({ azure, secret, ca });
      const acr = isAzure(parent) ? { identity } : undefined;
      const link = new ParentLink({
        url,
        login,
        ca,
        bandwidth,
        azure: acr,
        allowedHosts,
        ...(this.#stallMs && { stallMs: this.#stallMs }),
      });
      this.#old = this.#links().map((old) => new WeakRef(old));
      const child = (username ?? name).toLowerCase().replace(/[^a-z0-9-]/g, '-');
      const activation = new ParentActivation(link, acr ? undefined : username);
      const clients = {
        parent: new ParentRegistry(link),
        pushClient: new PushClient(link),
        feed: new ParentFeed(link, child, activation),
        reports: new ParentReports(link, child, activation),
        activation,
        arriving: new ParentArriving(link),
        acr: acr && new AcrMetadata(link),
      };
      this.#current = { fingerprint, link, clients };
    }
    return this.#current.clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links()) await link[Symbol.asyncDispose]();
  }

  #links(): ParentLink[] {
    return [...this.#old.map((old) => old.deref()), this.#current?.link].filter((link) => link !== undefined);
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
