import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { queueIn, unacknowledged } from '../../../services/storage/syslog/kernel-queue.ts';
import { until } from '../../support/until.ts';

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1972 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 0100007F:9060 0100007F:1972 01 0038D286:00000007 04:00000012 00000000     0        0 8751935 2
   2: 0100007F:1972 0100007F:9060 01 00000000:0001FBE5 00:00000000 00000000     0        0 8751936 1
   3: 0200007F:9060 0200007F:1972 01 00000005:00000000 00:00000000 00000000     0        0 8751937 1
   4: 0100007F:9061 0100007F:1972 06 garbage:00000000 00:00000000 00000000     0        0 8751938 1
`;

test('the queue of a connection is found by its ports; the largest one if several have them', () => {
  const rows: [local: number, remote: number, queue: number | undefined][] = [
    [0x9060, 0x1972, 0x38d286],
    [0x1972, 0x9060, 0],
    [0x9061, 0x1972, undefined],
    [0x9062, 0x1972, undefined],
    [0x1972, 0x1972, undefined],
  ];
  for (const [local, remote, queue] of rows) assert.equal(queueIn(table, local, remote), queue);
  assert.equal(queueIn('', 1, 2), undefined);
});

for (const host of ['127.0.0.1', '::1']) {
  test(`what ${host} does not read is not acknowledged; without a connection, nothing is known`, async () => {
    let accepted: Socket | undefined;
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      accepted = socket;
    });
    server.listen(0, host);
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, host);
    await once(socket, 'connect');
    assert.equal(await unacknowledged(socket), 0);
    socket.write(Buffer.alloc(64 * 1024 * 1024));
    await until(async () => ((await unacknowledged(socket)) ?? 0) > 100_000);
    await until(() => accepted !== undefined);
    accepted?.resume();
    await until(async () => (await unacknowledged(socket)) === 0 && socket.writableLength === 0);
    socket.destroy();
    accepted?.destroy();
    await once(socket, 'close');
    assert.equal(await unacknowledged(socket), undefined);
    server.close();
    await once(server, 'close');
  });
}
