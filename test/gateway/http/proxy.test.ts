import { equal, match } from 'node:assert/strict';
import { after, test } from 'node:test';
import { type FastifyRequest, fastify } from 'fastify';
import { hostOf, protocolOf, realmUrl } from '../../../services/gateway/http/locations.ts';
import { TrustedProxies } from '../../../services/gateway/http/trusted-proxies.ts';
import { get } from '../http.ts';

/** A server that answers with what the gateway derives from a request: host, protocol and client address. */

let networks: readonly string[] = [];
const derived = (request: FastifyRequest) => ({
  realm: realmUrl(request),
  host: hostOf(request),
  protocol: protocolOf(request),
  ip: request.ip,
});
const app = fastify({ trustProxy: new TrustedProxies(() => networks).trusts });
app.get('/', async (request) => derived(request));
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address() as { port: number };
after(() => app.close());

const derivedFor = async (headers: Record<string, string>): Promise<ReturnType<typeof derived>> =>
  JSON.parse((await get(port, '/', headers)).body);

const forwarded = {
  host: 'gateway:8080',
  'x-forwarded-host': 'Registry.example:8000',
  'x-forwarded-proto': 'https',
  'x-forwarded-for': '203.0.113.7',
};

test('the host, protocol and client address that a trusted proxy forwards are used', async () => {
  for (const trusted of [['127.0.0.1'], ['127.0.0.0/8'], ['10.0.0.0/8', '127.0.0.0/30', 'fd00::/8']]) {
    networks = trusted;
    const { realm, ip } = await derivedFor(forwarded);
    equal(realm, 'https://registry.example:8000/v2/token');
    equal(ip, '203.0.113.7');
  }
});

test('forwarded headers of other clients are ignored, from the next request after a change on', async () => {
  for (const trusted of [['127.0.0.1'], [], ['10.0.0.0/8'], ['127.0.0.2/32', '::1/128']]) {
    networks = trusted;
    const { realm, ip } = await derivedFor(forwarded);
    if (trusted[0] === '127.0.0.1') continue;
    equal(realm, 'http://gateway:8080/v2/token');
    equal(ip, '127.0.0.1');
  }
});

test('in a chain of proxies, only the headers that trusted ones added are used', async () => {
  networks = ['127.0.0.0/8', '10.0.0.0/8'];
  const { ip, realm } = await derivedFor({
    ...forwarded,
    'x-forwarded-for': '198.51.100.1, 203.0.113.7, 10.0.0.4',
    'x-forwarded-host': 'spoofed.example, registry.example',
    'x-forwarded-proto': 'ftp, https',
  });
  equal(ip, '203.0.113.7');
  equal(realm, 'https://registry.example/v2/token');
});

test('an IPv4-mapped address counts as its IPv4 address', () => {
  const { trusts } = new TrustedProxies(() => ['192.0.2.0/24', '2001:db8::/32']);
  const answers: [string | undefined, boolean][] = [
    ['192.0.2.9', true],
    ['::ffff:192.0.2.9', true],
    ['::ffff:192.0.3.9', false],
    ['2001:db8::1', true],
    ['2001:db9::1', false],
    ['not an address', false],
    [undefined, false],
  ];
  for (const [address, expected] of answers) equal(trusts(address), expected, address);
});

test('only a valid host is used in a URL', async () => {
  networks = ['127.0.0.1'];
  const hosts = [
    'registry.example',
    'registry.example.:443',
    'a_b:5000',
    '[2001:db8::1]:5000',
    '[::1]',
    '192.0.2.1',
  ];
  for (const host of hosts) equal((await derivedFor({ host })).host, host);
  const refused = [
    'a"b',
    'a/b',
    'a b',
    'user@registry.example',
    'a,b"',
    'a:port',
    'a?b',
    'a#b',
    '-a',
    '[::1',
    'é'.repeat(2),
    'a'.repeat(300),
  ];
  for (const host of refused) {
    match(
      JSON.stringify(await derivedFor({ host: 'x', 'x-forwarded-host': host })),
      /send a host name with an optional port/,
      host,
    );
  }
});
