import type { ChildProcess } from 'node:child_process';
import { after } from 'node:test';
import { until } from '../support/until.ts';
import type { GatewayRig } from './gateway-rig.ts';
import { kill } from './rig-storage.ts';

/** Starts a gateway process of the layer, killed after the test. @returns the process and its port */
export async function gatewayProcess(
  layer: GatewayRig,
  env: NodeJS.ProcessEnv = {},
): Promise<{ child: ChildProcess; port: number }> {
  const child = layer.spawn('gateway', { TERRACE_LISTEN: '127.0.0.1:0', TERRACE_LOG: 'info', ...env });
  after(() => kill(child));
  let log = '';
  const port = () => Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1] ?? 0);
  // Read stdout to its end: a full pipe would block the process.
  child.stdout?.on('data', (line) => {
    if (port() === 0) log += line;
  });
  await until(() => port() > 0);
  return { child, port: port() };
}
