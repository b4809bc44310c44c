import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type LookupFunction } from 'node:net';
import { test } from 'node:test';
import { makeAgent } from '../../../../services/syncer/link/http/agent.ts';

/** Addresses of one name: one that answers, and one that can't be reached. */
const SERVER = '127.0.0.9';
const lookup: LookupFunction = (_name, _options, done) =>
  done(null, [
    { address: SERVER, family: 4 },
    { address: '2001:db8::7', family: 6 },
  ]);
const SCRIPT = `const server = require('node:http').createServer((_, response) => response.end('content'));
server.listen({ port: 0, host: '${SERVER}', backlog: 1 }, () => console.log(server.address().port));`;

test('an address whose handshake takes a second is connected to, although the name has another one', async () => {
  const child = spawn(process.execPath, ['-e', SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] });
  const agent = makeAgent(20_000, undefined, lookup);
  try {
    const [line] = await once(child.stdout, 'data');
    const port = Number(String(line));
    // While the process is stopped, two connections fill its queue. The system drops further handshakes, and sends
    // them again a second later.
    child.kill('SIGSTOP');
    const others = [1, 2, 3].map(() => connect(port, SERVER).on('error', () => {}));
    await Promise.all(others.slice(0, 2).map((socket) => once(socket, 'connect')));
    const answer = agent.request({ origin: `http://up.example:${port}`, path: '/', method: 'GET' });
    // The default time for each address ends before.
    setTimeout(() => child.kill('SIGCONT'), 500);
    assert.equal(await (await answer).body.text(), 'content');
    for (const socket of others) socket.destroy();
  } finally {
    await agent.destroy();
    child.kill('SIGKILL');
  }
});
