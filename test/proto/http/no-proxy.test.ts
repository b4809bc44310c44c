import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyBypass } from '#proto/http/no-proxy.ts';

/** List, hosts that it takes past the proxy, hosts that it does not. Hosts without a scheme are requested by HTTPS. */
const table: [list: string, direct: string[], proxied: string[]][] = [
  ['', [], ['a.example', '10.0.0.1', 'localhost', '[::1]']],
  ['*', ['a.example', '10.0.0.1', '[fd00::1]'], []],
  ['*:8443', ['a.example:8443'], ['a.example', 'a.example:80']],
  ['corp', ['corp', 'a.corp', 'CORP', 'b.a.corp.'], ['xcorp', 'corp.example', 'a.corp.example']],
  ['.corp', ['corp', 'a.corp'], ['xcorp']],
  ['*.corp', ['a.corp', 'b.a.corp'], ['corp', 'xcorp']],
  ['Corp.', ['corp', 'a.corp'], ['xcorp']],
  ['bücher.example', ['xn--bcher-kva.example', 'bücher.example'], ['bucher.example']],
  ['a.example:5000', ['a.example:5000', 'b.a.example:5000'], ['a.example', 'a.example:5001']],
  ['a.example:443', ['a.example'], ['http://a.example', 'a.example:8443']],
  ['a.example:80', ['http://a.example'], ['a.example']],
  ['10.0.0.0/8', ['10.0.0.1', '10.255.255.255:5000'], ['11.0.0.1', 'a.example', '[fd00::1]']],
  ['10.1.2.3/8', ['10.9.9.9'], ['11.1.2.3']],
  ['192.168.4.0/23', ['192.168.5.9'], ['192.168.6.1', '192.168.3.255']],
  ['0.0.0.0/0', ['1.2.3.4'], ['[fd00::1]', 'a.example']],
  ['10.0.0.7', ['10.0.0.7', '10.0.0.7:81'], ['10.0.0.70', '110.0.0.7', 'x.10.0.0.7.example']],
  ['10.0.0.7:81', ['10.0.0.7:81'], ['10.0.0.7']],
  ['10.0.0.0/8:5000', ['10.0.0.7:5000'], ['10.0.0.7']],
  ['[fd00::]/8', ['[fd00::1]', '[fdff:1::2]:5000'], ['[fe80::1]', '10.0.0.1']],
  ['fd00::/8', ['[fd00::1]'], ['[fe80::1]']],
  ['[fd00::]/8:5000', ['[fd00::1]:5000'], ['[fd00::1]']],
  ['fd00::7', ['[fd00::7]', '[fd00:0::7]:81'], ['[fd00::8]']],
  ['[fd00::7]', ['[fd00::7]'], ['[fd00::8]']],
  ['[fd00::7]:81', ['[fd00::7]:81'], ['[fd00::7]']],
  ['10.0.0.0/8', ['[::ffff:10.0.0.1]'], ['[::ffff:11.0.0.1]']],
  ['::ffff:10.0.0.0/104', ['10.1.2.3'], ['11.1.2.3']],
  ['localhost,127.0.0.0/8', ['localhost', '127.9.9.9'], ['[::1]']],
  [' a.example ,\t.corp  10.0.0.0/8,,', ['a.example', 'x.corp', '10.1.1.1'], ['b.example']],
  // What is no network matches as a name, so nothing else bypasses the proxy.
  ['10.0.0.0/33,10.0.0/8,10.0.0.0/,10.0.0.0/-1,300.0.0.0/8,fd00::/129', [], ['10.0.0.1', '[fd00::1]']],
  ['.', [], ['a.example']],
];

for (const [list, direct, proxied] of table) {
  test(`${list || 'an empty list'} bypasses the proxy for ${direct.join(', ') || 'nothing'}`, () => {
    const bypass = proxyBypass(list);
    const bypassed = (host: string) => bypass(new URL(host.includes('://') ? host : `https://${host}`));
    assert.deepEqual(direct.filter(bypassed), direct);
    assert.deepEqual(proxied.filter(bypassed), []);
  });
}
