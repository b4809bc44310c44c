import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { passwordIn } from '#proto/accounts/password-hash.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isAzure } from '#proto/document/azure.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import type { SharedBandwidth } from '../bandwidth/bandwidth.ts';
import { Link } from '../http/link.ts';
import { identityOf } from '../login/identity.ts';
import type { TrustBundle } from '../login/trust-bundle.ts';
import { AcrMetadata } from './acr-metadata.ts';
import { Activation } from './activation.ts';
import { ParentArriving } from './arriving.ts';
import { ParentFeed } from './feed.ts';
import { Parent } from './parent.ts';
import { ParentReports } from './reports.ts';
import { Upward } from './upward.ts';

type Clients = {
  print: string;
  link: Link;
  parent: Parent;
  upward: Upward;
  feed: ParentFeed;
  reports: ParentReports;
  activation: Activation;
  arriving: ParentArriving;
  acr: AcrMetadata | undefined;
};

/** The configuration in force, and the clients of the parent that it names. */
export class Settings implements AsyncDisposable {
  /** Of the link, as configured now. */
  readonly bandwidth: SharedBandwidth;
  readonly #stallMs: number | undefined;
  readonly #trust: Pick<TrustBundle, 'get'> | undefined;
  #configuration: Configuration | undefined;
  #clients: Clients | undefined;
  /** Links of earlier configurations, whose requests may still be under way. */
  readonly #old: Link[] = [];

  /**
   * @param stallMs a connection to the parent that brings nothing for so long is given up
   * @param trust certificates that the parent's may come from, beside those of `caFile` and the machine
   */
  constructor(bandwidth: SharedBandwidth, stallMs?: number, trust?: Pick<TrustBundle, 'get'>) {
    this.#trust = trust;
    this.bandwidth = bandwidth;
    this.#stallMs = stallMs;
  }

  set(configuration: Configuration): void {
    this.#configuration = configuration;
    this.bandwidth.set(configuration.bandwidth);
  }

  /** @throws Fault `config-invalid` where the layer has none yet, or no parent */
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

  /** The client for what comes from the parent, as configured now. */
  async parent(): Promise<Parent> {
    return (await this.#current()).parent;
  }

  /** The same for what goes there; both use one link. */
  async upward(): Promise<Upward> {
    return (await this.#current()).upward;
  }

  /** What it tells of its changes. */
  async feed(): Promise<ParentFeed> {
    return (await this.#current()).feed;
  }

  /** Where this layer tells it of itself. */
  async reports(): Promise<ParentReports> {
    return (await this.#current()).reports;
  }

  /** The place that this layer has there. */
  async activation(): Promise<Activation> {
    return (await this.#current()).activation;
  }

  /** What it is itself still receiving. */
  async arriving(): Promise<ParentArriving> {
    return (await this.#current()).arriving;
  }

  /** What an Azure Container Registry tells beside; undefined where the parent is none. */
  async acr(): Promise<AcrMetadata | undefined> {
    return (await this.#current()).acr;
  }

  /** Closes the connections to the parent that are idle. */
  rest(): void {
    for (const link of [...this.#old, this.#clients?.link]) link?.rest();
  }

  /** The files of password and CA are read again each time: they may have changed. */
  async #current(): Promise<Clients> {
    const { parent, name } = this.get();
    const { url, username, passwordFile, caFile, azure, allowedHosts } = parent;
    const login = username === undefined ? undefined : { username, password: await password(passwordFile) };
    const secretFile = azure?.clientSecretFile;
    const secret = secretFile && (await password(secretFile, 'parent.azure.clientSecretFile'));
    const ca = joined(
      caFile === undefined ? undefined : await certificates(caFile),
      await this.#trust?.get(),
    );
    const print = JSON.stringify([url, login, ca, name, azure, secret, allowedHosts]);
    if (this.#clients?.print !== print) {
      const { bandwidth } = this;
      const identity = azure && identityOf({ azure, secret, ca });
      const acr = isAzure(parent) ? { identity } : undefined;
      const link = new Link({
        url,
        login,
        ca,
        bandwidth,
        azure: acr,
        allowedHosts,
        ...(this.#stallMs && { stallMs: this.#stallMs }),
      });
      if (this.#clients) this.#old.push(this.#clients.link);
      const child = (username ?? name).toLowerCase().replace(/[^a-z0-9-]/g, '-');
      const activation = new Activation(link, acr ? undefined : username);
      this.#clients = {
        print,
        link,
        parent: new Parent(link),
        upward: new Upward(link),
        feed: new ParentFeed(link, child, activation),
        reports: new ParentReports(link, child, activation),
        activation,
        arriving: new ParentArriving(link),
        acr: acr && new AcrMetadata(link),
      };
    }
    return this.#clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of [...this.#old, this.#clients?.link]) await link?.[Symbol.asyncDispose]();
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

/** A file that can't be used must not end in a link that trusts nobody, or everybody. */
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
