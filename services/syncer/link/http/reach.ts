import { lookup as lookupName } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { Fault } from '#proto/contract/fault.ts';
import { isAddress, isIn, isInNetworkOf, isPublic } from '#proto/http/addresses.ts';

/** Resolves a name to its addresses. @throws as node:dns does */
export type Resolve = (name: string) => Promise<string[]>;

/** How long the addresses of the parent's name are cached, in ms. */
const CACHE_MS = 60_000;

const resolveName: Resolve = async (name) =>
  (await lookupName(name, { all: true })).map(({ address }) => address);

/**
 * Addresses to which a parent may send this layer, by a redirect, for a token or for an upload: public addresses and
 * the parent's own network. Other private networks, and this machine, are reachable only if the operator allows them
 * (`parent.allowedHosts`): any server that answers as the parent could otherwise reach them through this layer.
 */
export class Reach {
  readonly #base: URL;
  readonly #hosts: readonly string[];
  readonly #resolve: Resolve;
  #parent: { addresses: string[]; until: number } | undefined;

  /** @param hosts names (also as `*.suffix`), addresses and networks that may be private */
  constructor(base: URL, hosts: readonly string[] = [], resolve = resolveName) {
    this.#base = base;
    this.#hosts = hosts.map((host) => host.toLowerCase());
    this.#resolve = resolve;
  }

  /**
   * Checks a request to another host than the parent. A name passes: its addresses are checked by `lookup` when it is
   * connected to, or by the proxy if one connects.
   * @throws Fault `parent-invalid`; `parent-unreachable` if the parent's own name can't be resolved now
   */
  async check(url: URL): Promise<void> {
    const host = hostOf(url);
    const isLocal = host === 'localhost' || host.endsWith('.localhost');
    const addresses = isAddress(host) ? [host] : isLocal ? ['127.0.0.1'] : [];
    const allowed = await this.#allowed(host, addresses);
    if (allowed.length < addresses.length) throw refused(url.host);
  }

  /**
   * Resolves names for connections, each once, so that the checked address is the one connected to. Addresses that are
   * not allowed are left out.
   */
  readonly lookup: LookupFunction = (name, options, done) => {
    this.#reachable(name).then(
      (addresses) => {
        const candidates = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
        const wanted = options.family === 4 || options.family === 6 ? options.family : undefined;
        const matching = candidates.filter(({ family }) => wanted === undefined || family === wanted);
        const [first] = matching;
        if (!first) done(noAddress(name), '');
        else if (options.all) done(null, matching);
        else done(null, first.address, first.family);
      },
      (error) => done(error, ''),
    );
  };

  async #reachable(name: string): Promise<string[]> {
    const addresses = await this.#resolve(name);
    if (name === hostOf(this.#base)) return addresses;
    const allowed = await this.#allowed(name, addresses);
    if (addresses.length > 0 && allowed.length === 0) throw refused(name);
    return allowed;
  }

  async #allowed(host: string, addresses: string[]): Promise<string[]> {
    if (addresses.every(isPublic) || this.#hosts.some((allowed) => isNamed(host, allowed))) return addresses;
    const networks = this.#hosts.filter((allowed) => isAddress(allowed.split('/', 1)[0] as string));
    const isAllowed = (address: string) =>
      isPublic(address) || networks.some((network) => isIn(address, network));
    // The parent's own name is resolved only if the result depends on it.
    if (addresses.every(isAllowed)) return addresses;
    const parent = await this.#parentAddresses(host);
    return addresses.filter((address) => isAllowed(address) || isInNetworkOf(address, parent));
  }

  /**
   * Addresses of the parent's name; none if it is known not to exist here, as behind a proxy. A failure to resolve it
   * is not cached.
   * @param target the host that needs them, for the message
   */
  async #parentAddresses(target: string): Promise<string[]> {
    const host = hostOf(this.#base);
    if (isAddress(host)) return [host];
    if (this.#parent && performance.now() < this.#parent.until) return this.#parent.addresses;
    try {
      const addresses = await this.#resolve(host);
      this.#parent = { addresses, until: performance.now() + CACHE_MS };
      return addresses;
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === 'ENOTFOUND') return [];
      throw new Fault(
        'parent-unreachable',
        `the parent refers this layer to ${target}, but the parent's own name ${host} can't be resolved (${code ?? message}) to check whether ${target} is in its network: if names are never resolved here, add ${target} to parent.allowedHosts`,
        { cause, detail: { hasRemedy: true } },
      );
    }
  }
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();

const isNamed = (host: string, allowed: string): boolean =>
  allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed;

const refused = (host: string): Fault =>
  new Fault(
    'parent-invalid',
    `the parent refers this layer to ${host}, which is on this machine or in a private network other than the parent's: if that is intended, add the host to parent.allowedHosts`,
    { detail: { hasRemedy: true } },
  );

const noAddress = (name: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`no address for ${name}`), { code: 'ENOTFOUND' });
