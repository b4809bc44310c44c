import { once } from 'node:events';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { patience, until } from '../../support/until.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';

const layer = await GatewayRig.start({ idleMs: patience(200) });
after(() => layer[Symbol.asyncDispose]());
// The end of idle connections is not what is tested.
layer.app.server.keepAliveTimeout = 3_600_000;

const connections = () =>
  promisify<number>((done) => layer.app.server.getConnections((error, count) => done(error, count)))();

for (const path of ['/api/v1/openapi.json', '/ui/', '/metrics', '/v2/none/tags/list']) {
  test(`a client that requests ${path} again and again, and reads nothing, is disconnected`, async () => {
    const get = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const { byteLength } = await (await fetch(`${layer.url}${path}`)).arrayBuffer();
    await until(async () => {
      layer.app.server.closeIdleConnections();
      return (await connections()) === 0;
    }, 'the connection of the first request has ended');
    const stuck = await RawConnection.open(layer.port);
    stuck.socket.pause();
    // More than the buffers of the system take.
    stuck.send(get.repeat(Math.ceil(32_000_000 / (byteLength + 200))));
    await until(async () => (await connections()) === 0, 'it is disconnected');
    stuck.socket.destroy();
    if (!stuck.socket.closed) await once(stuck.socket, 'close');
  });
}
