import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../certificates.ts';
import { freePort } from '../ports.ts';
import { type RunningCommand, startCommandWith } from '../terrace.ts';
import { ApiProxy } from './api-proxy.ts';
import { EdgeHub } from './edge-hub.ts';
import { WorkloadApi } from './workload-api.ts';

// biome-ignore lint/suspicious/noExplicitAny: documents of another system, of which single fields are read
type Any = any;

export type Site = {
  /** Signs the certificates of all devices. */
  authority: Authority;
  /** Where registries of the internet are: host by name. */
  internet: Record<string, string>;
};

/** An image as edgeAgent pulls it: the login is the one for its registry, if there is one. */
export type Pull = { image: string; login?: { username: string; password: string } };

const PROXY = 'IoTEdgeAPIProxy';

/**
 * A stand-in for an IoT Edge device that deploys a manifest: it runs the modules Terrace and API proxy, and answers
 * what edgeAgent would pull. Each device has a loopback address of its own.
 */
export class Device implements AsyncDisposable {
  readonly address: string;
  /** Data volume of its Terrace. */
  readonly data: string;
  readonly pulls: Pull[] = [];
  /** `host:port` of Terrace itself, without the proxy. */
  registry: string | undefined;
  proxy!: ApiProxy;
  terrace: RunningCommand | undefined;
  readonly #site: Site;
  readonly #parent: string | undefined;
  readonly #stack = new AsyncDisposableStack();

  /** @param parent address of the device above */
  static async deploy(
    site: Site,
    { address, parent, manifest }: { address: string; parent?: string; manifest: Any },
  ): Promise<Device> {
    const device = new Device(site, address, parent, await mkdtemp(join(tmpdir(), 'terrace-device-')));
    await device.#deploy(manifest.modulesContent);
    return device;
  }

  private constructor(site: Site, address: string, parent: string | undefined, data: string) {
    this.#site = site;
    this.address = address;
    this.#parent = parent;
    this.data = data;
    this.#stack.defer(() => rm(data, { recursive: true, force: true }));
  }

  async #deploy({ $edgeAgent, ...twins }: Any): Promise<void> {
    const { runtime, systemModules, modules } = $edgeAgent['properties.desired'];
    const logins = Object.values(runtime.settings.registryCredentials ?? {}) as Any[];
    for (const { settings } of Object.values({ ...systemModules, ...modules }) as Any[]) {
      const [host, ...path] = settings.image.split('/');
      const login = logins.find(({ address }) => address === host);
      this.pulls.push({ image: [this.#hostOf(host), ...path].join('/'), ...(login && { login }) });
    }
    if (modules.terrace) await this.#startTerrace(modules.terrace, twins.terrace['properties.desired']);
    await this.#startProxy(variablesOf(modules[PROXY]));
  }

  #hostOf(name: string): string {
    if (!name.startsWith('$upstream:')) return this.#site.internet[name] ?? name;
    if (!this.#parent) throw new Error(`${name}: there is no device above ${this.address}`);
    return name.replace('$upstream', this.#parent);
  }

  async #startTerrace(module: Any, desired: Any): Promise<void> {
    const daemon = this.#stack.use(await WorkloadApi.start(this.#site.authority));
    const identity = { hub: 'hub.example', device: 'device', module: 'terrace' };
    const hub = this.#stack.use(await EdgeHub.start(this.#site.authority, daemon.key, identity));
    hub.desire(desired);
    this.registry = `127.0.0.1:${await freePort()}`;
    let variables = JSON.stringify(variablesOf(module));
    for (const [name, host] of Object.entries(this.#site.internet))
      variables = variables.replaceAll(name, host);
    const env = {
      ...daemon.env,
      IOTEDGE_GATEWAYHOSTNAME: `localhost:${hub.port}`,
      ...(this.#parent && { IOTEDGE_PARENTHOSTNAME: this.#parent }),
      ...JSON.parse(variables),
      // In place of the bind mount, and of the network of the container.
      ACR_REGISTRY_DATA_VOLUME: this.data,
      TERRACE_LISTEN: this.registry,
    };
    const { Cmd } = JSON.parse(
      Object.keys(module.settings)
        .filter((key) => key.startsWith('createOptions'))
        .sort()
        .map((key) => module.settings[key])
        .join(''),
    );
    this.terrace = this.#stack.use(startCommandWith(env, ...Cmd, '--compact'));
    await this.terrace.untilOutput(/listening on http/);
  }

  /** As the template of the proxy reads its variables. */
  async #startProxy(env: Record<string, string>): Promise<void> {
    const { authority } = this.#site;
    const port = Number(env.NGINX_DEFAULT_PORT);
    const route = env.CONNECTED_ACR_ROUTE_ADDRESS;
    if (route !== undefined && route !== 'terrace:8080') throw new Error(`${route} does not resolve`);
    const above = { parent: `${this.#parent}:${port}`, authority: authority.certificate, module: PROXY };
    this.proxy = this.#stack.use(
      await ApiProxy.start({
        tls: await authority.issue(`proxy-${this.address}`, { names: [this.address, PROXY] }),
        to: route === undefined ? above : { gateway: this.registry as string },
        at: { address: this.address, port },
        protocols: env.NGINX_DEFAULT_TLS as string,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const variablesOf = ({ env }: Any): Record<string, string> =>
  Object.fromEntries(Object.entries(env ?? {}).map(([name, { value }]: Any) => [name, value]));
