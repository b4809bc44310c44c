import type { ChildProcess } from 'node:child_process';
import { after } from 'node:test';
import { kill, type TestLayer, until } from './layer.ts';

/** A gateway process of the layer, which ends with the test. @returns it, and the port that it listens on */
export async function gatewayProcess(
  layer: TestLayer,
  env: NodeJS.ProcessEnv = {},
): Promise<{ child: ChildProcess; port: number }> {
  const child = layer.spawn('gateway', { TERRACE_LISTEN: '127.0.0.1:0', TERRACE_LOG: 'info', ...env });
  after(() => kill(child));
  let log = '';
  const port = () => Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1] ?? 0);
  // Read on to its end: a pipe that nobody empties stops who writes into it.
  child.stdout?.on('data', (line) => {
    if (port() === 0) log += line;
  });
  await until(() => port() > 0);
  return { child, port: port() };
}
