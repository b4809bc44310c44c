import { deepEqual as equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { gatewayProcess } from '../gateway-process.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { kill } from '../rig-storage.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());

const bytes = randomBytes(300_000);
const mode = { TERRACE_MODE: 'ReadWrite' };

test('uploads continue at their offset after gateway and storage were killed between two chunks', async () => {
  let gateway = await gatewayProcess(layer, mode);
  const send = async (method: string, path: string, chunk?: [first: number, end: number]) => {
    const init = chunk && {
      body: bytes.subarray(...chunk),
      headers: { 'content-range': `${chunk[0]}-${chunk[1] - 1}` },
    };
    const { status, headers } = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { method, ...init });
    return { status, range: headers.get('range'), location: headers.get('location') ?? '' };
  };
  const restart = async () => {
    await Promise.all([kill(gateway.child), layer.storageDown()]);
    const [restarted] = await Promise.all([gatewayProcess(layer, mode), layer.storageUp()]);
    gateway = restarted;
  };

  const uploads = await Promise.all(
    [sha256(bytes), sha512(bytes)].map(async (digest) => {
      const algorithm = digest.split(':')[0];
      const path = `/v2/${algorithm}/blobs/uploads/?digest-algorithm=${algorithm}`;
      return {
        digest,
        location: (await send('POST', path)).location,
        blob: `/v2/${algorithm}/blobs/${digest}`,
      };
    }),
  );
  for (const { location } of uploads) equal((await send('PATCH', location, [0, 100_000])).status, 202);
  await restart();
  for (const { location } of uploads) {
    const unchanged = { range: '0-99999', location };
    equal(await send('GET', location), { status: 204, ...unchanged });
    equal(await send('PATCH', location, [100_001, 200_000]), { status: 416, ...unchanged });
    equal((await send('PATCH', location, [100_000, 200_000])).range, '0-199999');
  }
  await restart();
  for (const { location, digest, blob } of uploads) {
    const done = `${location}?digest=${digest}`;
    equal(await send('GET', location), { status: 204, range: '0-199999', location });
    equal((await send('PUT', done, [200_001, 300_000])).status, 416);
    equal(await send('PUT', done, [200_000, 300_000]), { status: 201, range: null, location: blob });
    await check(layer, { send: ['GET', blob], status: 200, text: bytes });
  }
});
