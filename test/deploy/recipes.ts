import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { imageOf } from '../../deploy/demo/image.ts';
import { Authority } from '../support/certificates.ts';
import { textOf } from '../support/imports.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { execute } from '../support/registry/debian.ts';

/** What the recipes of deploy/clients name. */
const LAYER = 'line-1.example:5000';
const LOGIN = 'nodes:PASSWORD';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** A layer with TLS and accounts, which has `line/app:1` and `library/app:1`. */
export class RecipeLayer implements AsyncDisposable {
  readonly layer: TestLayer;
  /** Digest of the manifest of both images. */
  readonly digest: string;
  readonly authority: Authority;
  readonly folder: string;
  readonly login = 'nodes:a password of nodes';

  static async start(): Promise<RecipeLayer> {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'terrace-recipes-'));
    stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
    const authority = stack.use(await Authority.create());
    const passwords = { nodes: 'a password of nodes', ops: 'a password of ops' };
    for (const [name, password] of Object.entries(passwords)) await writeFile(join(folder, name), password);
    const configFile = join(folder, 'layer.yaml');
    const tokens = [
      { name: 'nodes', pull: '*', passwords: [{ secretFile: 'nodes' }] },
      { name: 'ops', push: '*', passwords: [{ secretFile: 'ops' }] },
    ];
    await writeFile(configFile, stringify({ tokens }));
    const tls = await authority.issue('layer');
    const layer = stack.use(await testLayer({ compact: 'hosted', configFile, tls }));
    const image = imageOf([{ name: 'a-file', bytes: 10_000 }]);
    const layout = join(folder, 'image');
    await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
    for (const { digest, bytes } of [image.config, ...image.layers, image.manifest]) {
      await writeFile(join(layout, 'blobs', digest.replace(':', '/')), bytes);
    }
    const { bytes: _bytes, ...descriptor } = image.manifest;
    await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    await writeFile(
      join(layout, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }),
    );
    const trust = await authority.trustFolder();
    for (const repository of ['line/app', 'library/app']) {
      const target = `docker://${layer.host}/${repository}:1`;
      const login = ['--dest-creds', `ops:${passwords.ops}`, '--dest-cert-dir', trust];
      await execute('skopeo', ['copy', '--quiet', ...login, `oci:${layout}`, target]);
    }
    return new RecipeLayer(stack.move(), layer, image.manifest.digest, authority, folder);
  }

  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    layer: TestLayer,
    digest: string,
    authority: Authority,
    folder: string,
  ) {
    this.#stack = stack;
    this.layer = layer;
    this.digest = digest;
    this.authority = authority;
    this.folder = folder;
  }

  /** A file of deploy/clients for this layer. */
  recipe(path: string): string {
    return textOf(`deploy/clients/${path}`)
      .replaceAll(LAYER, this.layer.host)
      .replaceAll(base64(LOGIN), base64(this.login));
  }

  /** A folder as `/etc/containerd/certs.d`, with the CA of the layer in each of its folders. */
  async hosts(files: Record<string, string>): Promise<string> {
    const folder = await mkdtemp(join(this.folder, 'hosts-'));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'hosts.toml'), text);
      await execute('cp', [this.authority.certificate, join(folder, name, 'ca.crt')]);
    }
    return folder;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }
}
