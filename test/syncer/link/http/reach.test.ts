import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { isInNetworkOf, isPublic } from '#proto/http/addresses.ts';
import { type LinkOptions, ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { Reach } from '../../../../services/syncer/link/http/reach.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { PushClient } from '../../../../services/syncer/link/parent/push-client.ts';
import { Authority } from '../../../support/certificates.ts';
import { serveHttp } from '../../../support/http-server.ts';

/** Addresses to which a parent may send a layer: by a redirect, for a token, for an upload. */
const { signal } = new AbortController();
const DIGEST = `sha256:${'a'.repeat(64)}`;
const SECRET = 'a secret of this host';

async function listening(listener: RequestListener, tls?: { cert: Buffer; key: Buffer }) {
  const requests: { url: string; authorization: string | undefined }[] = [];
  const recording: RequestListener = (request, response) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization });
    listener(request, response);
  };
  return Object.assign(await serveHttp(recording, tls), { requests });
}

function clients(options: LinkOptions) {
  const link = new ParentLink({ login: { username: 'layer', password: 'secret' }, ...options });
  const parent = new ParentRegistry(link);
  let blobs = 0;
  return {
    link,
    pushClient: new PushClient(link),
    parent,
    /** Each call reads another blob. */
    blob: async () => {
      blobs += 1;
      const digest = `sha256:${String(blobs).padStart(64, '0')}`;
      const answer = await parent.blob('a', digest, 7, { start: 0, end: 7 }, signal);
      return Buffer.concat(await Array.fromAsync(answer.body)).toString('utf8');
    },
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

test('addresses are classified as public or private, and by the network of the parent', () => {
  const rows: [boolean, string[]][] = [
    [true, ['8.8.8.8', '2606:4700::1111', '64:ff9b::808:808', '2002:808:808::1', '::ffff:8.8.8.8']],
    [false, ['127.0.0.1', '::1', '0.0.0.0', '::', '10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1']],
    [false, ['169.254.169.254', 'fe80::1', 'fd00::1', '::ffff:10.0.0.1', '224.0.0.1', 'ff02::1']],
    [false, ['255.255.255.255', '240.0.0.1', '64:ff9b::a00:1', '2002:a00:1::1', '2001::1', '198.18.0.1']],
  ];
  for (const [expected, addresses] of rows) {
    for (const address of addresses) assert.equal(isPublic(address), expected, address);
  }
  assert.ok(isInNetworkOf('10.1.2.200', ['10.1.2.3']) && isInNetworkOf('fd00::9', ['fd00::1']));
  assert.ok(isInNetworkOf('::1', ['127.0.0.1']) && isInNetworkOf('127.9.9.9', ['::1']));
  assert.ok(!isInNetworkOf('10.1.3.3', ['10.1.2.3']) && !isInNetworkOf('127.0.0.1', ['10.1.2.3', 'fd00::1']));
});

test('names and addresses in `allowedHosts` are allowed', async () => {
  const resolve = async () => ['10.9.9.9'];
  const reaches = (hosts: string[], url: string) =>
    new Reach(new URL('https://parent.example'), hosts, resolve).check(new URL(url));
  for (const host of ['10.1.2.3', '10.0.0.0/8', 'fd00::/8', '*.plant.example', 'LOCALHOST']) {
    const [url] = [
      {
        '10.1.2.3': 'http://10.1.2.3/',
        '10.0.0.0/8': 'http://10.7.7.7:9000/',
        'fd00::/8': 'http://[fd00::7]/',
      }[host] ?? (host === 'LOCALHOST' ? 'http://localhost:1/' : 'http://s3.plant.example/'),
    ];
    await reaches([host], url as string);
  }
  for (const url of ['http://10.1.2.4/', 'http://0x7f.1/', 'http://[::1]/', 'http://a.localhost/']) {
    await assert.rejects(reaches(['10.1.2.3', 'fd00::/8'], url), {
      code: 'parent-invalid',
      message: /allowedHosts/,
    });
  }
});

test('a blob is fetched from another host without credentials, also if that host redirects back', async () => {
  await using registry = await listening(({ url, headers }, response) => {
    if (url === '/other') return void response.end('content');
    if (headers.authorization) return void response.writeHead(307, { location: `${blobs.url}/blob` }).end();
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
  });
  await using blobs = await listening((_, response) =>
    response.writeHead(302, { location: `${registry.url}/other` }).end(),
  );
  await using own = clients({ url: registry.url });
  assert.equal(await own.blob(), 'content');
  assert.equal(blobs.requests[0]?.authorization, undefined);
  assert.deepEqual(registry.requests.at(-1), { url: '/other', authorization: undefined });
});

test('only blobs are fetched from another host', async () => {
  await using elsewhere = await listening((_, response) => void response.end('{"tags":["stolen"]}'));
  await using registry = await listening((_, response) =>
    response.writeHead(307, { location: `${elsewhere.url}/x` }).end(),
  );
  await using own = clients({ url: registry.url });
  const { parent, pushClient } = own;
  const manifest = { digest: DIGEST, mediaType: 'm', bytes: Buffer.from('{}') };
  const requests: (() => Promise<unknown>)[] = [
    () => parent.tags('a', signal),
    () => parent.ping(signal),
    () => parent.resolve('a', 'v1', signal),
    () => parent.manifest('a', 'v1', signal),
    () => Array.fromAsync(parent.repositories(signal)),
    () => pushClient.uploads.begin('a', DIGEST, signal),
    () => pushClient.putManifest('a', 'v1', manifest, signal),
    () => pushClient.deleteManifest('a', DIGEST, signal),
    () => pushClient.hasManifest('a', DIGEST, signal),
  ];
  for (const request of requests)
    await assert.rejects(request, { code: 'parent-invalid', message: /only blobs are fetched/ });
  assert.deepEqual(elsewhere.requests, []);
});

test('a redirect into another private network is refused, and the number of hops is bounded', async () => {
  let location = '';
  await using registry = await listening((_, response) => response.writeHead(307, { location }).end());
  await using own = clients({ url: registry.url });
  const redirectTo = async (address: string) => {
    location = address;
    await own.blob();
  };
  for (const host of [
    '10.1.2.3',
    '192.168.0.1',
    '169.254.169.254',
    '[fd00::1]',
    '[::ffff:10.0.0.1]',
    '0x0a010203',
  ]) {
    await assert.rejects(redirectTo(`http://${host}/blob?secret`), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'parent-invalid');
      assert.match(error.message, /private network other than the parent's: .* parent\.allowedHosts/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
  registry.requests.length = 0;
  await assert.rejects(redirectTo(`${registry.url}/again`), {
    code: 'parent-invalid',
    message: /more than 5 times/,
  });
  assert.equal(registry.requests.length, 6);
  for (const bad of ['ftp://x/', 'http://', 'javascript:1'])
    await assert.rejects(redirectTo(bad), { code: 'parent-invalid' });
});

test('a request by TLS is not redirected to a host without TLS', async () => {
  await using authority = await Authority.create();
  const { certificateFile, keyFile } = await authority.issue('parent');
  const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  await using plain = await listening((_, response) => void response.end('content'));
  await using registry = await listening(
    (_, response) => response.writeHead(307, { location: `${plain.url}/blob` }).end(),
    tls,
  );
  await using own = clients({ url: registry.url, ca: await readFile(authority.certificate, 'utf8') });
  await assert.rejects(own.blob(), { code: 'parent-invalid', message: /without TLS/ });
  const session = { location: `${plain.url}/upload`, offset: 0 };
  await assert.rejects(own.pushClient.uploads.findSession('a', session.location, signal), {
    message: /without TLS/,
  });
  assert.deepEqual(plain.requests, []);
});

test('a name is resolved once: the checked address is the one connected to', async () => {
  const names: Record<string, string[][]> = {
    'parent.test': [['127.0.0.1']],
    'flips.test': [['127.0.0.1'], ['10.1.2.3']],
    'inside.test': [['10.1.2.3']],
    'mixed.test': [['10.1.2.3', '127.0.0.1']],
  };
  const resolved: string[] = [];
  const resolve = async (name: string) => {
    resolved.push(name);
    const [first, ...others] = names[name] ?? assert.fail(name);
    if (others.length > 0) names[name] = others;
    return first as string[];
  };
  await using blobs = await listening((_, response) => void response.end('content'));
  let host = '';
  await using registry = await listening((_, response) =>
    response.writeHead(307, { location: `http://${host}:${blobs.port}/blob` }).end(),
  );
  await using own = clients({ url: `http://parent.test:${registry.port}`, resolve });
  for (const name of ['flips.test', 'mixed.test']) {
    host = name;
    assert.equal(await own.blob(), 'content');
    assert.equal(resolved.filter((other) => other === name).length, 1);
  }
  host = 'inside.test';
  await assert.rejects(own.blob(), {
    code: 'parent-invalid',
    message: /refers this layer to inside\.test, which/,
  });
  await using allowing = clients({
    url: `http://parent.test:${registry.port}`,
    resolve,
    allowedHosts: ['*.test'],
  });
  host = 'mixed.test';
  names['mixed.test'] = [['127.0.0.1']];
  assert.equal(await allowing.blob(), 'content');
});

test('a token service or an upload location in another private network is refused', async () => {
  let realm = 'http://169.254.169.254/token';
  await using registry = await listening(({ url, headers }, response) => {
    if (url?.startsWith('/token')) return void response.end('{"token":"good"}');
    if (headers.authorization) return void response.end('{"tags":["one"]}');
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
  });
  await using own = clients({ url: registry.url });
  const tags = () => own.parent.tags('a', signal);
  await assert.rejects(tags, { code: 'parent-invalid', message: /169\.254\.169\.254/ });
  realm = 'http://';
  await assert.rejects(tags, { code: 'parent-invalid', message: /is not an HTTP or HTTPS address/ });
  realm = '/token';
  assert.deepEqual(await tags(), ['one']);

  await using uploads = await listening((_, response) =>
    response.writeHead(202, { location: 'http://10.1.2.3/upload' }).end(),
  );
  await using sending = clients({ url: uploads.url });
  const session = await sending.pushClient.uploads.begin('a', DIGEST, signal);
  await assert.rejects(sending.pushClient.uploads.findSession('a', session.location, signal), {
    code: 'parent-invalid',
  });
});

test('faults do not repeat what another host answered, or its URL', async () => {
  let status = 500;
  await using elsewhere = await listening((_, response) => {
    const headers = status === 206 ? { 'content-range': SECRET } : { 'content-type': 'application/json' };
    response.writeHead(status, headers).end(JSON.stringify({ errors: [{ code: SECRET, message: SECRET }] }));
  });
  await using registry = await listening(({ headers }, response) => {
    if (headers.authorization || tokens === '') {
      response.writeHead(307, { location: `${elsewhere.url}/blob?${encodeURIComponent(SECRET)}` }).end();
    } else response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens}"` }).end();
  });
  let tokens = '';
  await using own = clients({ url: registry.url, login: undefined });
  const hidesSecret = (error: Error & { detail?: object }) => {
    assert.doesNotMatch(`${error.message} ${JSON.stringify(error.detail)}`, /secret of|%20/);
    return true;
  };
  for (status of [500, 403, 404, 416, 429, 206, 301]) await assert.rejects(own.blob(), hidesSecret);
  tokens = `${elsewhere.url}/token/${encodeURIComponent(SECRET)}`;
  for (status of [403, 404, 200]) await assert.rejects(own.parent.tags('a', signal), hidesSecret);
});

test('a message of the parent is cut and on one line, without control characters', async () => {
  await using registry = await listening((_, response) => {
    const error = { code: 'DENIED', message: `\u001b]52;c;x\u0007not\r\n\u202efor you${'.'.repeat(5_000)}` };
    response.writeHead(403).end(
      JSON.stringify({ errors: [error] })
        .slice(0, 4_000)
        .padEnd(0),
    );
  });
  await using own = clients({ url: registry.url });
  await assert.rejects(own.parent.tags('a', signal), ({ message }: Error) => {
    assert.ok(message.length < 400, message);
    assert.doesNotMatch(message, /[\p{Cc}\p{Cf}]/u);
    return true;
  });
});

test('allowed hosts are names, patterns of names, addresses and networks', () => {
  const read = (hosts: string) =>
    resolveDocument({
      text: `parent: { url: "https://parent.example", allowedHosts: ${hosts} }`,
      readable: () => true,
    });
  assert.ok(
    'configuration' in read('[s3.plant.example, "*.plant.example", 10.0.0.7, 10.0.0.0/8, "fd00::/8"]'),
  );
  for (const bad of ['["http://a"]', '["a b"]', '["*"]', '["10.0.0.0/99"]', '[""]', 'all']) {
    const result = read(bad);
    assert.match(
      'complaints' in result ? result.complaints.join() : '',
      /^parent\.allowedHosts.*write a list/,
      bad,
    );
  }
});

test("while the parent's name can't be resolved, a redirect into its network is unreachable, not invalid", async () => {
  const failing = (code: string) => Object.assign(new Error(`getaddrinfo ${code}`), { code });
  let answer: Error | string[] = failing('EAI_AGAIN');
  let resolutions = 0;
  const resolve = async () => {
    resolutions += 1;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const reach = new Reach(new URL('https://parent.test'), ['10.2.0.0/16'], resolve);
  const check = (host: string) => reach.check(new URL(`https://${host}/blob`));
  await assert.rejects(check('10.1.2.4'), {
    code: 'parent-unreachable',
    message: /parent\.test can't be resolved \(EAI_AGAIN\).*add 10\.1\.2\.4 to parent\.allowedHosts/,
  });
  // It is resolved only if the result depends on it.
  await check('10.2.3.4');
  await check('8.8.8.8');
  assert.equal(resolutions, 1);
  // Behind a proxy, the name may not exist here.
  answer = failing('ENOTFOUND');
  await assert.rejects(check('10.1.2.4'), { code: 'parent-invalid', message: /allowedHosts/ });
  answer = ['10.1.2.3'];
  await check('10.1.2.4');
  await check('10.1.2.5');
  assert.equal(resolutions, 3);
});
