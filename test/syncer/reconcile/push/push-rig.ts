import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import { type PushContextOptions, pushContext } from '../../../support/sender.ts';
import { patience } from '../../../support/until.ts';

const account = { username: 'layer', password: 'a secret of the layer' };

/** A layer that pushes to a docker-registry that requires tokens. Each test has its own repositories. */
export class PushRig implements AsyncDisposable {
  readonly #folder: string;
  readonly cloud: Cloud;
  readonly proxy: FaultProxy;
  readonly layer: TestLayer;

  static async start(): Promise<PushRig> {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-send-'));
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, `${account.password}\n`);
    const cloud = await startCloud();
    const proxy = await startProxy(cloud.url, { access: { bearer: { account } } });
    const parent = { url: proxy.url, username: account.username, passwordFile };
    // On a slow machine a piece takes longer, too.
    const env = { TERRACE_STALL_MS: String(patience(1_000)), TERRACE_STOP_MS: String(patience(4_000)) };
    const layer = await testLayer({ parent, mode: 'ReadWrite', env });
    // Otherwise, the layer's first pass might push the content of the first test, too.
    await layer.sync();
    return new PushRig(folder, cloud, proxy, layer);
  }

  private constructor(folder: string, cloud: Cloud, proxy: FaultProxy, layer: TestLayer) {
    this.#folder = folder;
    this.cloud = cloud;
    this.proxy = proxy;
    this.layer = layer;
  }

  context(options: PushContextOptions = {}): ReturnType<typeof pushContext> {
    return pushContext(this.layer, { url: this.proxy.url, login: account }, options);
  }

  resetProxy(): void {
    this.proxy.fault();
    this.proxy.clearRequests();
  }

  /** Requests that carry content of blobs. */
  contentRequests(repository: string): FaultProxy['requests'] {
    const path = `/v2/${repository}/blobs/uploads/`;
    return this.proxy.requests.filter((one) => /^P(ATCH|UT)$/.test(one.method) && one.path.startsWith(path));
  }

  manifestPuts(repository: string): FaultProxy['requests'] {
    const path = `/v2/${repository}/manifests/`;
    return this.proxy.requests.filter((one) => one.method === 'PUT' && one.path.startsWith(path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.cloud[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
