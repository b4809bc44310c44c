import type { Log } from '#proto/contract/log.ts';
import { isAzure } from '#proto/document/azure.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import { type Rename, RepositoryNames } from '#proto/oci/repository-names.ts';
import type { Bandwidth } from '../bandwidth/bandwidth.ts';
import { EntraClient } from '../http/entra-client.ts';
import { ParentLink } from '../http/parent-link.ts';
import type { ParentLogin } from '../login/credentials.ts';
import { identityOf } from '../login/entra-identity.ts';
import { ParentActivation } from '../terrace/activation.ts';
import { ParentArriving } from '../terrace/arriving.ts';
import { ParentDeltas } from '../terrace/parent-deltas.ts';
import { ParentFeed } from '../terrace/parent-feed.ts';
import { ParentReports } from '../terrace/parent-reports.ts';
import { AcrMetadata } from './acr-metadata.ts';
import { ParentRegistry } from './parent-registry.ts';
import { PushClient } from './push-client.ts';

/** The clients of one parent and one login, over one link. */
export type ParentClients = {
  parent: ParentRegistry;
  pushClient: PushClient;
  /** The change feed of a Terrace. */
  feed: ParentFeed;
  /** Sends this layer's status to a Terrace. */
  reports: ParentReports;
  /** This layer's activation at a Terrace. */
  activation: ParentActivation;
  /** Content that a Terrace is still receiving itself. */
  arriving: ParentArriving;
  /** Deltas that a Terrace makes. */
  deltas: ParentDeltas;
  /** Metadata of an Azure Container Registry; undefined if the parent is none. */
  acr: AcrMetadata | undefined;
};

/** What the clients depend on: the parent as configured, the name of the layer, and the content of the files. */
export type ClientOptions = NonNullable<Configuration['parent']> & {
  name: string;
  login: ParentLogin | undefined;
  /** Secret of a Microsoft Entra identity. */
  secret: string | undefined;
  /** Certificates (PEM). */
  ca: string | undefined;
  /** Client certificate. */
  certificate: CertificateAndKey | undefined;
  /** Repositories of the parent that have another name here. */
  renames: readonly Rename[];
};

/** Links that are remembered after new options replaced them. */
const MAX_OLD_LINKS = 8;

/** The clients of the current parent. New options replace them; a pass or a transfer uses its own to its end. */
export class ClientCache implements AsyncDisposable {
  readonly #bandwidth: Bandwidth;
  readonly #stallMs: number | undefined;
  readonly #log: Log | undefined;
  #current: { fingerprint: string; link: ParentLink; clients: ParentClients } | undefined;
  /** Links of earlier options, newest first: passes and transfers use them to their end, and leave idle connections. */
  #old: ParentLink[] = [];

  constructor(bandwidth: Bandwidth, stallMs: number | undefined, log: Log | undefined) {
    this.#log = log;
    this.#bandwidth = bandwidth;
    this.#stallMs = stallMs;
  }

  get(options: ClientOptions): ParentClients {
    const { url, username, azure, allowedHosts, name, login, secret, ca, certificate, renames } = options;
    const fingerprint = JSON.stringify([
      [url, login, ca, certificate, name, azure, secret, allowedHosts],
      renames,
    ]);
    if (this.#current?.fingerprint !== fingerprint) {
      const identity = azure && identityOf({ azure, secret, http: new EntraClient(ca) });
      const acr = isAzure(options) ? { identity } : undefined;
      const link = new ParentLink({
        url,
        login,
        ca,
        certificate,
        bandwidth: this.#bandwidth,
        azure: acr,
        allowedHosts,
        log: this.#log,
        ...(this.#stallMs && { stallMs: this.#stallMs }),
      });
      if (this.#current) this.#old = [this.#current.link, ...this.#old].slice(0, MAX_OLD_LINKS);
      const child = (username ?? name).toLowerCase().replace(/[^a-z0-9-]/g, '-');
      const names = new RepositoryNames(renames);
      const activation = new ParentActivation(link, acr ? undefined : username);
      const feed = new ParentFeed(link, child, activation, names);
      const clients = {
        parent: new ParentRegistry(link, names),
        pushClient: new PushClient(link, names),
        feed,
        reports: new ParentReports(link, child, activation),
        activation,
        arriving: new ParentArriving(link, undefined, names),
        deltas: new ParentDeltas(link, feed, names),
        acr: acr && new AcrMetadata(link, names),
      };
      this.#current = { fingerprint, link, clients };
    }
    return this.#current.clients;
  }

  /** Of the current parent, see `ParentLink.certificateEnds`. */
  get certificateEnds(): number | undefined {
    return this.#current?.link.certificateEnds;
  }

  /** Closes the connections to the parent, see `ParentLink.closeIdle`. */
  closeIdle(): void {
    for (const link of this.#links()) link.closeIdle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links()) await link[Symbol.asyncDispose]();
  }

  #links(): ParentLink[] {
    return this.#current ? [this.#current.link, ...this.#old] : this.#old;
  }
}
