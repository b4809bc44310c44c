import { equal } from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstTokenCommand, hasOwnNetwork } from '../../../services/gateway/http/container-network.ts';

/** Interfaces by name, each with its number and that of the interface that it is linked to. */
const networks: [string, Record<string, [index: number, link: number]>, boolean][] = [
  ['one end of a pair is a network of its own', { lo: [1, 1], eth0: [2, 17] }, true],
  ['only loopback is a network of its own', { lo: [1, 1] }, true],
  ['an interface of the machine is not', { lo: [1, 1], eth0: [2, 2] }, false],
  ['a pair beside an interface of the machine is not', { lo: [1, 1], enp1s0: [2, 2], veth1: [9, 2] }, false],
];

for (const [name, interfaces, expected] of networks) {
  test(`of a network namespace, ${name}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-network-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    for (const [network, [index, link]] of Object.entries(interfaces)) {
      await mkdir(join(folder, network));
      await writeFile(join(folder, network, 'ifindex'), `${index}\n`);
      await writeFile(join(folder, network, 'iflink'), `${link}\n`);
    }
    equal(hasOwnNetwork(folder), expected);
  });
}

test('a machine that lists no interfaces has no network of its own', () => {
  equal(hasOwnNetwork('/nowhere'), false);
});

test('the command for the first token fits where the layer runs', () => {
  const command = "terrace token create NAME --push '*'";
  equal(firstTokenCommand({}, 'line'), command);
  equal(firstTokenCommand({ TERRACE_CONTAINER: '1' }, 'a1b2'), `docker exec a1b2 ${command}`);
  const pod = { TERRACE_CONTAINER: '1', KUBERNETES_SERVICE_HOST: '10.0.0.1' };
  equal(firstTokenCommand(pod, 'line-0'), `kubectl exec line-0 -- ${command}`);
});
