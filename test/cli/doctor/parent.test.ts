import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { serveHttp } from '../../support/http-server.ts';
import { freePort } from '../../support/ports.ts';
import { ConnectProxy } from '../../support/proxy/connect-proxy.ts';
import { type Cloud, type CloudOptions, startCloud } from '../../support/registry/cloud.ts';
import { pushImage } from '../../support/registry/image.ts';
import { notMade, onlyFault, StoppedLayer, warningsOf } from './examined.ts';

/** Faults on the way to a registry with TLS and a login, planted one at a time. */

const account = { username: 'plant', password: 'a password of the cloud' };
const stack = new AsyncDisposableStack();
let authority: Authority;
let others: Authority;
let folder: string;
let cloud: Cloud;
let layer: StoppedLayer;
let passwordFile: string;

before(async () => {
  authority = stack.use(await Authority.create());
  others = stack.use(await Authority.create());
  folder = await mkdtemp(join(tmpdir(), 'terrace-cloud-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  {
    await using open = await startCloud({ folder });
    await pushImage(open.url, 'line/motor', 'v1');
    await pushImage(open.url, 'line/sensor', 'v1');
  }
  cloud = stack.use(await serving({}));
  layer = stack.use(await StoppedLayer.create());
  passwordFile = await layer.write('secret', account.password);
});
after(() => stack.disposeAsync());

/** The cloud with its content, and a certificate of the authority unless others are given. */
async function serving(tls: Partial<NonNullable<CloudOptions['tls']>>): Promise<Cloud> {
  return startCloud({ folder, account, tls: { ...(await authority.issue('cloud')), ...tls } });
}

/** Options of a healthy layer below the cloud; the given ones replace them, and `undefined` removes one. */
function options(changes: Record<string, string | undefined> = {}): string[] {
  const all: Record<string, string | undefined> = {
    '--parent': `https://localhost:${cloud.port}`,
    '--parent-ca': authority.certificate,
    '--parent-username': account.username,
    '--parent-password-file': passwordFile,
    '--repository': 'line/*',
    ...changes,
  };
  return Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

test('a stopped layer below a registry with TLS and a login has no fault and no warning', async () => {
  const { code, report } = await layer.examine(...options());
  assert.deepEqual(
    report.checks.filter(({ state, findings }) => state === 'fault' || findings.length > 1),
    [],
  );
  assert.deepEqual(warningsOf(report), []);
  assert.equal(code, 0);
  const abouts = Object.fromEntries(report.checks.map(({ check, about }) => [check, about]));
  assert.equal(abouts['parent-login'], 'as plant (Basic)');
  assert.equal(abouts['parent-rights'], 'may list, pull, push');
  assert.equal(abouts.selection, '1 pattern, 2 repositories by the catalog');
  assert.equal(
    abouts['parent-kind'],
    'distribution; it has no referrers API: signatures and SBOMs come by tags',
  );
  assert.match(abouts['parent-tls'] ?? '', /^TLSv1\.3; certificate of cloud, signed by ca, ends on \d{4}-/);
  const unchecked = report.checks.filter(({ state }) => state === 'not checked').map(({ check }) => check);
  assert.deepEqual(unchecked.sort(), ['services', 'sync']);
});

test('a name without an address', async () => {
  const examined = await layer.examine(...options({ '--parent': 'https://registry.invalid' }));
  onlyFault(examined, 'parent-name', /registry\.invalid (has no address|can't be resolved)/, /DNS|resolv/);
  notMade(
    examined,
    'parent-name',
    'parent-route',
    'parent-tls',
    'parent-registry',
    'parent-login',
    'selection',
  );
});

test('a port that nothing listens on', async () => {
  const examined = await layer.examine(...options({ '--parent': `https://127.0.0.1:${await freePort()}` }));
  onlyFault(
    examined,
    'parent-route',
    /refuses connections \(ECONNREFUSED\)/,
    /start the registry there, or correct the port/,
  );
  notMade(
    examined,
    'parent-route',
    'parent-tls',
    'parent-registry',
    'parent-login',
    'parent-rights',
    'selection',
  );
});

test('an authority that is not trusted', async () => {
  const examined = await layer.examine(...options({ '--parent-ca': undefined }));
  onlyFault(
    examined,
    'parent-tls',
    /authority ca .*is not known here/,
    /PEM file, and name it in parent\.caFile/,
  );
  notMade(examined, 'parent-tls', 'parent-registry', 'parent-login', 'parent-rights', 'selection');
});

test('the certificate of another authority in the CA file', async () => {
  const examined = await layer.examine(...options({ '--parent-ca': others.certificate }));
  onlyFault(examined, 'parent-tls', /signed/, /\(parent\.caFile\)/);
});

test('a certificate that has expired', async () => {
  await using expired = await serving(await authority.issue('expired', { days: -1 }));
  const examined = await layer.examine(...options({ '--parent': `https://localhost:${expired.port}` }));
  onlyFault(
    examined,
    'parent-tls',
    /certificate of localhost expired on \d{4}-\d{2}-\d{2}/,
    /renew it at the parent/,
  );
});

test('a certificate for another name', async () => {
  const tls = await authority.issue('other', { names: ['registry.example'], isLocal: false });
  await using other = await serving(tls);
  const examined = await layer.examine(...options({ '--parent': `https://localhost:${other.port}` }));
  onlyFault(
    examined,
    'parent-tls',
    /is for another name than localhost: other/,
    /write one of its names in parent\.url/,
  );
});

test('a wrong password', async () => {
  const wrong = await layer.write('wrong', 'another password');
  const examined = await layer.examine(...options({ '--parent-password-file': wrong }));
  onlyFault(examined, 'parent-login', /rejects the login as plant \(401/, /parent\.passwordFile/);
  notMade(examined, 'parent-login', 'parent-rights', 'selection', 'parent-kind');
});

test('a login is demanded, and none is configured', async () => {
  const none = { '--parent-username': undefined, '--parent-password-file': undefined };
  const examined = await layer.examine(...options(none));
  onlyFault(examined, 'parent-login', /demands a login/, /set parent\.username and parent\.passwordFile/);
});

test('a pattern and a name that match nothing, with what they may stand for', async () => {
  const pattern = await layer.examine(...options({ '--repository': 'lime/*' }));
  onlyFault(pattern, 'selection', /the selection lime\/\* matches nothing/, /did you mean line\/\*\?/);
  const name = await layer.examine(...options({ '--repository': 'line/motr' }));
  onlyFault(name, 'selection', /the selection line\/motr matches nothing/, /did you mean line\/motor\?/);
});

test('a client certificate that does not match its key', async () => {
  const [one, other] = [await authority.issue('client'), await authority.issue('other-client')];
  const pair = { '--parent-certificate': one.certificateFile, '--parent-key': other.keyFile };
  const examined = await layer.examine(...options(pair));
  onlyFault(examined, 'client-certificate', /parent\.keyFile .* does not match/, /write a matching pair/);
  notMade(examined, 'client-certificate', 'parent-registry', 'parent-login', 'selection');
});

test('a parent that demands a client certificate', async () => {
  await using demanding = await serving({ clientCa: authority.certificate });
  const parent = `https://localhost:${demanding.port}`;
  const examined = await layer.examine(...options({ '--parent': parent }));
  onlyFault(examined, 'parent-registry', /demands a client certificate/, /parent\.certificateFile/);
  const { certificateFile, keyFile } = await authority.issue('client');
  const pair = { '--parent': parent, '--parent-certificate': certificateFile, '--parent-key': keyFile };
  const { report } = await layer.examine(...options(pair));
  assert.equal(report.summary.faults, 0);
});

test('a web page instead of a registry', async () => {
  const { certificateFile, keyFile } = await authority.issue('page');
  const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  await using page = await serveHttp(
    (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>'),
    tls,
  );
  const examined = await layer.examine(...options({ '--parent': `https://localhost:${page.port}` }));
  onlyFault(
    examined,
    'parent-registry',
    /is no registry: it answers GET \/v2\/ with a web page/,
    /correct host, port and path/,
  );
});

test('a static registry without /v2/ is one, if it has a repository that is selected by name', async () => {
  await using files = await serveHttp(({ url, method }, response) => {
    if (method === 'GET' && url?.startsWith('/v2/line/motor/tags/list')) response.end('{"tags":["v1"]}');
    else response.writeHead(404).end();
  });
  const none = {
    '--parent-ca': undefined,
    '--parent-username': undefined,
    '--parent-password-file': undefined,
  };
  const parent = { ...none, '--parent': files.url, '--repository': 'line/motor' };
  const { report } = await layer.examine(...options({ ...parent, '--mode': 'ReadOnly' }));
  assert.equal(report.summary.faults, 0);
  onlyFault(
    await layer.examine(...options(parent)),
    'parent-rights',
    /may not push to line\/motor/,
    /set mode to ReadOnly/,
  );
});

test('a clock that differs from that of the parent by a day', async () => {
  await using parent = await serveHttp((request, response) => {
    response.setHeader('date', new Date(Date.now() - 86_400_000).toUTCString());
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    const isCatalog = request.url?.startsWith('/v2/_catalog');
    if (isCatalog) response.end(JSON.stringify({ repositories: ['line/motor'] }));
    else if (request.method === 'POST') response.writeHead(202).end();
    else if (request.url === '/v2/' || request.url?.includes('/tags/')) response.end('{"tags":["v1"]}');
    else response.writeHead(404).end('{}');
  });
  const without = {
    '--parent-ca': undefined,
    '--parent-username': undefined,
    '--parent-password-file': undefined,
  };
  const examined = await layer.examine(...options({ ...without, '--parent': parent.url }));
  onlyFault(examined, 'clock', /the clock of this machine says .*, that of the server /, /set the wrong one/);
});

test('a port that speaks no TLS', async () => {
  await using plain = await serveHttp((_, response) => response.end());
  const examined = await layer.examine(...options({ '--parent': `https://localhost:${plain.port}` }));
  onlyFault(examined, 'parent-tls', /ends the TLS handshake/, /speaks no TLS: correct the port/);
});

test('a proxy: one that tunnels is used, one that refuses and one that is away are named', async (t) => {
  const before = process.env.HTTPS_PROXY;
  t.after(() => {
    if (before === undefined) delete process.env.HTTPS_PROXY;
    else process.env.HTTPS_PROXY = before;
  });
  await using proxy = await ConnectProxy.start();
  process.env.HTTPS_PROXY = proxy.url;
  const { report } = await layer.examine(...options());
  assert.equal(report.summary.faults, 0);
  assert.ok(
    proxy.targets.length > 1 && proxy.targets.every((target) => target === `localhost:${cloud.port}`),
  );

  await using refusing = await serveHttp((_, response) => response.writeHead(403).end());
  process.env.HTTPS_PROXY = refusing.url;
  const refused = await layer.examine(...options());
  onlyFault(refused, 'parent-proxy', /does not answer|refuses a tunnel/, /NO_PROXY/);
  notMade(refused, 'parent-proxy', 'parent-name', 'parent-route', 'parent-tls', 'parent-registry');

  // Without TLS, a proxy forwards requests.
  await using open = await startCloud();
  await pushImage(open.url, 'line/motor', 'v1');
  const asked: string[] = [];
  await using forwarding = await serveHttp(({ url = '', method, headers }, response) => {
    asked.push(url);
    const body = method === 'GET' || method === 'HEAD' ? undefined : '';
    fetch(url, {
      method: method ?? 'GET',
      headers: { accept: headers.accept ?? '*/*' },
      ...(body !== undefined && { body }),
    })
      .then(async (answer) =>
        response.writeHead(answer.status, [...answer.headers].flat()).end(await answer.bytes()),
      )
      .catch(() => response.writeHead(502).end());
  });
  process.env.HTTPS_PROXY = '';
  process.env.HTTP_PROXY = forwarding.url;
  t.after(() => delete process.env.HTTP_PROXY);
  const none = {
    '--parent-ca': undefined,
    '--parent-username': undefined,
    '--parent-password-file': undefined,
  };
  const forwarded = await layer.examine(...options({ ...none, '--parent': open.url, '--mode': 'ReadOnly' }));
  assert.deepEqual(forwarded.report.summary.faults, 0, JSON.stringify(forwarded.report.checks));
  assert.ok(asked.length > 3 && asked.every((url) => url.startsWith(open.url)));
  const away = `http://127.0.0.1:${await freePort()}`;
  onlyFault(
    await layer.examine(...options({ ...none, '--parent': away })),
    'parent-proxy',
    /does not reach 127\.0\.0\.1:\d+ \(502\)/,
    /NO_PROXY/,
  );
  delete process.env.HTTP_PROXY;

  process.env.HTTPS_PROXY = `http://127.0.0.1:${await freePort()}`;
  onlyFault(
    await layer.examine(...options()),
    'parent-proxy',
    /does not answer \(ECONNREFUSED\)/,
    /correct HTTPS_PROXY/,
  );
});

test('a parent that accepts connections and never answers ends at the time limit', async () => {
  const mute = createServer();
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as { port: number };
  const sockets = new Set<import('node:net').Socket>();
  mute.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  try {
    const started = performance.now();
    const { code, report } = await layer.examine(
      ...options({ '--parent': `http://127.0.0.1:${port}` }),
      '--timeout',
      '2',
    );
    assert.ok(performance.now() - started < 20_000);
    const registry = report.checks.find(({ check }) => check === 'parent-registry');
    assert.equal(registry?.state, 'not checked');
    assert.match(registry?.about ?? '', /^no (answer within|time was left)/);
    assert.equal(code, 0);
  } finally {
    for (const socket of sockets) socket.destroy();
    mute.close();
  }
});
