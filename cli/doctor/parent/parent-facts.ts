import type { ParentChallenge } from '#proto/http/parent-challenge.ts';
import type { ProxyEnvironment } from '#proto/http/proxy-environment.ts';
import type { Mode } from '#proto/oci/mode.ts';
import type { ParentHttp } from './parent-http.ts';

/**
 * The checks of the parent, each with what the ones before it found out: whether a proxy is used (proxy.ts), the
 * addresses of the name (name.ts), a connection (route.ts), its certificates (tls.ts), the client certificate
 * (client-certificate.ts), whether a registry answers (registry.ts) and which one (kind.ts), the login (login.ts), what
 * it may do (rights.ts), what the selections match there (selection.ts, repositories.ts) and whether blobs can be read
 * (content.ts, sample-image.ts). connection.ts and parent-http.ts connect.
 */

/** The parent as it is configured. */
export type ParentTarget = {
  url: URL;
  username?: string | undefined;
  /** Undefined if it can't be read. */
  password?: string | undefined;
  /** The layer logs in with an identity of Microsoft Entra. */
  hasIdentity: boolean;
  isAzure: boolean;
  /** Certificates (PEM) to trust in addition to the machine's. */
  ca?: string | undefined;
  caFile?: string | undefined;
  certificateFile?: string | undefined;
  keyFile?: string | undefined;
  /** Variables of proxies, of the layer's processes where they can be read. */
  proxies: ProxyEnvironment;
  /** Hosts in private networks to which the parent may refer. */
  allowedHosts: readonly string[];
  mode: Mode;
  /** Patterns of repositories, by their names at the parent. */
  patterns: string[];
};

/** Which repositories there are, as far as the login shows them. */
export type ParentRepositories = {
  /** `partial`: there are more than were read. Undefined if no pattern needs the catalog. */
  catalog?: { names: string[]; partial: boolean } | { refused: number } | undefined;
  /** Selected by name: the status of their lists of tags. */
  named: Map<string, number>;
};

/** `hasHead`: HEAD finds its manifest. `digest`: as the parent names it. `blob`: a small one of the image. */
export type SampleImage = { repository: string; hasHead: boolean; digest?: string; blob?: string };

/** The Authorization header for a request of this scope. */
export type Authorize = (scope: string, signal: AbortSignal) => Promise<string | undefined>;

/** What the checks found out so far. */
export type ParentFacts = {
  proxy?: URL | undefined;
  addresses?: string[];
  http?: ParentHttp;
  challenges?: ParentChallenge[];
  /** Headers of the answer to the first request. */
  headers?: Record<string, string>;
  /** The Authorization header for a scope; undefined: none is needed. */
  authorize?: Authorize | undefined;
  /** The same by Basic, for APIs that take no tokens. */
  basic?: Authorize | undefined;
  repositories?: Promise<ParentRepositories>;
  image?: Promise<SampleImage | undefined>;
};
