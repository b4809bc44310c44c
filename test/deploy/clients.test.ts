import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { serveHttp } from '../support/http-server.ts';
import { files, textOf } from '../support/imports.ts';
import { execute } from '../support/registry/debian.ts';
import { Containerd } from './containerd.ts';
import { RecipeLayer } from './recipes.ts';

/** The recipes of deploy/clients, each with the client that it is for. */

let recipes: RecipeLayer;
let containerd: Containerd | string;

before(async () => {
  [recipes, containerd] = await Promise.all([RecipeLayer.start(), Containerd.start()]);
});
after(async () => {
  await recipes?.[Symbol.asyncDispose]();
  if (typeof containerd !== 'string') await containerd?.[Symbol.asyncDispose]();
});

const IMAGE = 'registry.example.com/line/app:1';

/** Undefined, and the test is skipped, where no containerd runs. */
function available(t: TestContext): Containerd | undefined {
  if (typeof containerd !== 'string') return containerd;
  t.skip(containerd);
  return undefined;
}

test('containerd pulls images of another registry from the layer alone, with CA and login', async (t) => {
  const client = available(t);
  if (!client) return;
  const hosts = await recipes.hosts({
    'registry.example.com': recipes.recipe('containerd/registry.example.com/hosts.toml'),
  });
  await client.pull(hosts, IMAGE);
  assert.equal((await client.images())[IMAGE], recipes.digest);
  await assert.rejects(client.pull(hosts, 'registry.example.com/line/none:1'), /not found/);
});

test('containerd pulls images by the name of the layer, with the login of the pull', async (t) => {
  const client = available(t);
  if (!client) return;
  const { host } = recipes.layer;
  const hosts = await recipes.hosts({
    [`${host.replace(':', '_')}_`]: recipes.recipe('containerd/line-1.example_5000_/hosts.toml'),
  });
  await client.pull(hosts, `${host}/line/app:1`, recipes.login);
  assert.equal((await client.images())[`${host}/line/app:1`], recipes.digest);
  await assert.rejects(client.pull(hosts, `${host}/line/app:1`), /401|authorization|denied/i);
});

type Registries = {
  mirrors: Record<string, { endpoint: string[] }>;
  configs: Record<string, { auth: { username: string; password: string }; tls: { ca_file: string } }>;
};

/** Files that k3s writes for containerd; it passes on the login by the configuration of containerd. */
function k3sHosts({ mirrors, configs }: Registries): Record<string, string> {
  return Object.fromEntries(
    Object.entries(mirrors).map(([registry, { endpoint }]) => {
      const hosts = endpoint.map((url) => {
        const ca = configs[new URL(url).host]?.tls.ca_file;
        return `[host."${url}/v2"]\n  capabilities = ["pull", "resolve"]\n  ca = [${JSON.stringify(ca)}]\n`;
      });
      const server = `server = "https://${registry}/v2"\ncapabilities = ["pull", "resolve", "push"]\n`;
      return [registry, [server, '[host]', ...hosts].join('\n')];
    }),
  );
}

test('containerd pulls from the layer with what k3s makes of registries.yaml', async (t) => {
  const client = available(t);
  if (!client) return;
  const registries = parse(recipes.recipe('k3s/registries.yaml')) as Registries;
  const config = registries.configs[recipes.layer.host];
  assert.ok(config);
  assert.deepEqual(config.auth, { username: 'nodes', password: 'PASSWORD' });
  assert.equal(config.tls.ca_file, '/etc/rancher/k3s/line-1.crt');
  config.tls.ca_file = recipes.authority.certificate;
  const hosts = await recipes.hosts(k3sHosts(registries));
  await client.pull(hosts, IMAGE, recipes.login);
  assert.equal((await client.images())[IMAGE], recipes.digest);
});

test('nodes ask spegel first, and the layer for what no node has, also where spegel does not answer', async (t) => {
  const client = available(t);
  if (!client) return;
  const asked: string[] = [];
  await using peers = await serveHttp((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(404).end();
  });
  const values = parse(textOf('deploy/clients/spegel/values.yaml')).spegel;
  assert.deepEqual(values, { mirroredRegistries: ['https://registry.example.com'], prependExisting: true });
  const own = recipes.recipe('spegel/registry.example.com/hosts.toml');
  for (const spegel of [peers.url, 'http://127.0.0.1:1']) {
    // As spegel writes it.
    const first = `[host.'${spegel}']\ncapabilities = ['pull', 'resolve']\ndial_timeout = '200ms'`;
    const hosts = await recipes.hosts({
      'registry.example.com': `server = 'https://registry.example.com'\n\n${first}\n\n${own}`,
    });
    const image = `registry.example.com/${spegel === peers.url ? 'line' : 'library'}/app:1`;
    await client.pull(hosts, image);
    assert.equal((await client.images())[image], recipes.digest);
  }
  assert.ok(asked.includes('/v2/line/app/manifests/1?ns=registry.example.com'), asked.join('\n'));
});

test('podman and skopeo pull images of another registry from the layer', async () => {
  const { folder, login, layer, authority } = recipes;
  const configuration = join(folder, 'registries.conf');
  await writeFile(configuration, recipes.recipe('podman/registries.conf'));
  const accounts = join(folder, 'auth.json');
  const auth = Buffer.from(login).toString('base64');
  await writeFile(accounts, JSON.stringify({ auths: { [layer.host]: { auth } } }));
  const env = { ...process.env, CONTAINERS_REGISTRIES_CONF: configuration, REGISTRY_AUTH_FILE: accounts };
  const store = [
    '--root',
    join(folder, 'store'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'vfs',
  ];
  const trust = ['--cert-dir', await authority.trustFolder()];
  await execute('podman', [...store, 'pull', '--quiet', ...trust, IMAGE], { env });
  const { stdout } = await execute(
    'podman',
    [...store, 'image', 'inspect', '--format', '{{.Digest}}', IMAGE],
    {
      env,
    },
  );
  assert.equal(stdout.trim(), recipes.digest);
  const inspected = await execute(
    'skopeo',
    [
      '--registries-conf',
      configuration,
      'inspect',
      '--no-tags',
      ...trust,
      '--format',
      '{{.Digest}}',
      `docker://${IMAGE}`,
    ],
    { env },
  );
  assert.equal(inspected.stdout.trim(), recipes.digest);
});

test('the guide shows each recipe as it is', () => {
  const guide = textOf('docs/guides/kubernetes.md');
  const paths = files.filter((file) => file.startsWith('deploy/clients/'));
  assert.ok(paths.length >= 7);
  for (const path of paths) {
    const lines = textOf(path).split('\n');
    const text = lines.filter((line) => !line.startsWith('#')).join('\n');
    assert.ok(guide.includes(text.trim()), path);
  }
});
