import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readChallenges } from '#proto/http/parent-challenge.ts';
import { realmOf } from '#proto/http/token-realm.ts';

const bearer = (parameters: Record<string, string>) => ({ scheme: 'bearer', parameters });
const basic = (parameters: Record<string, string> = {}) => ({ scheme: 'basic', parameters });
const XY = bearer({ realm: 'https://r/t', service: 'y' });

/** Headers, and the challenges that they hold. */
const CHALLENGES: [string | string[] | undefined, ...ReturnType<typeof bearer>[]][] = [
  [
    'Bearer realm="https://r/token?a=b,c",service="the \\"r\\"",scope="repository:a/b:pull,push"',
    bearer({ realm: 'https://r/token?a=b,c', service: 'the "r"', scope: 'repository:a/b:pull,push' }),
  ],
  ['Basic realm="x", Bearer realm="https://r/t",service="y"', XY, basic({ realm: 'x' })],
  [['Basic realm="x"', 'Bearer realm="https://r/t",service="y"'], XY, basic({ realm: 'x' })],
  ['Bearer realm="https://r/t",service="y", Basic realm="x"', XY, basic({ realm: 'x' })],
  [['Negotiate', 'NTLM', 'Basic realm="x"'], basic({ realm: 'x' })],
  ['Negotiate YIIabc==, Bearer realm="https://r/t",service="y"', XY],
  ['Digest realm="d",nonce="n,m", Basic realm="x"', basic({ realm: 'x' })],
  ['BEARER REALM="https://r/t",Service="y"', XY],
  ['bearer   realm = "https://r/t" ,  service="y"', XY],
  ['Bearer realm="https://r/t" service="y"', XY],
  ['Bearer realm="https://r/t"; service="y"', XY],
  ['Bearer realm=https://r/t,service=y', XY],
  ['Bearer realm=https://r/t?a=b,service=y', bearer({ realm: 'https://r/t?a=b', service: 'y' })],
  ['Bearer realm="https://r/t,service="y"', bearer({ realm: 'https://r/t,service=' })],
  ['Bearer realm="https://r/t",error="invalid_token",x="",service="y"', XY],
  ['Bearer realm="",realm="https://r/t",service="",service="y",service="z"', XY],
  ['Bearer realm="",service="y"', bearer({ service: 'y' })],
  ['Bearer realm="https://r/t",service="y",scope=""', XY],
  [
    'Bearer realm="r",scope="repository:a:pull",scope="repository:b:pull"',
    bearer({ realm: 'r', scope: 'repository:a:pull repository:b:pull' }),
  ],
  [
    'Bearer realm=r,scope=repository:a:pull,push,service=y',
    bearer({ realm: 'r', scope: 'repository:a:pull,push', service: 'y' }),
  ],
  ['Basic', basic()],
  ['basic realm=x', basic({ realm: 'x' })],
  ['Bearer realm="__proto__",__proto__="x",constructor="y"', bearer({ realm: '__proto__' })],
  ['Negotiate abc'],
  ['realm="x"'],
  [''],
  [undefined],
];

test('challenges are read in each of their notations', () => {
  for (const [header, ...challenges] of CHALLENGES)
    assert.deepEqual(readChallenges(header), challenges, JSON.stringify(header));
});

test('a hostile challenge is parsed in linear time', () => {
  const long = 1_000_000;
  for (const text of ['a', 'a ', ',', 'a=', 'a="', '\\"', ' ', '= "', 'scope=a,a,', 'scope=a,a"']) {
    assert.deepEqual(readChallenges(text.repeat(long)), []);
  }
  assert.equal(readChallenges('Bearer '.repeat(long))[0]?.parameters.realm, undefined);
  const parameters = 'x="1",'.repeat(long / 10);
  assert.equal(readChallenges(`Bearer ${parameters}realm="y"`)[0]?.parameters.realm, 'y');
});

test('a token service is requested at the realm, or at the parent if the realm is there without TLS', () => {
  const cases = [
    ['https://auth.example/token', 'https://auth.example/token'],
    ['https://auth.example/token?a=b#c', 'https://auth.example/token?a=b'],
    ['https://name:password@auth.example/token', 'https://auth.example/token'],
    ['//auth.example/token', 'https://auth.example/token'],
    ['/v2/token', 'https://up.example:8443/v2/token'],
    ['token', 'https://up.example:8443/token'],
    ['http://up.example/service/token?a=b', 'https://up.example:8443/service/token?a=b'],
    ['http://UP.example:8080/service/token', 'https://up.example:8443/service/token'],
  ];
  for (const [realm, url] of cases)
    assert.equal(realmOf(realm, new URL('https://up.example:8443')).href, url, realm);
  assert.equal(realmOf('http://other/token', new URL('http://up.example')).href, 'http://other/token');
  for (const realm of ['http://auth.example/token', 'ftp://up.example/token', 'http://[', '', undefined]) {
    assert.throws(() => realmOf(realm, new URL('https://up.example:8443')), { code: 'parent-invalid' });
  }
});
