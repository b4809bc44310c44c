import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export type Load = {
  url: string;
  method: 'GET' | 'HEAD';
  headers: Record<string, string>;
  connections: number;
  seconds: number;
};

/** Requests per second, and ms within which 99 % of them were answered. */
export type Rate = { perSecond: number; p99: number };

/**
 * Sends requests in a loop, with a client that uses little CPU time: wrk, or ab for HEAD, where wrk waits for a body.
 * @param folder where a client may write. @throws if any answer was not 2xx, or there was none
 */
export async function load(folder: string, { method, ...target }: Load): Promise<Rate> {
  const rate = await (method === 'HEAD' ? ab(folder, target) : wrk(target));
  if (!rate.perSecond || !rate.p99) throw new Error(`${method} ${target.url} has no rate`);
  return rate;
}

type Target = Omit<Load, 'method'>;

async function wrk({ url, headers, connections, seconds }: Target): Promise<Rate> {
  const options = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency'];
  const { stdout } = await execute('wrk', [...options, ...headerOptions(headers), url]);
  if (/Non-2xx|Socket errors: connect [1-9]/.test(stdout)) throw new Error(`${url}: ${stdout}`);
  const [, value, unit] = /^\s+99%\s+([\d.]+)(us|ms|s)/m.exec(stdout) ?? [];
  return {
    perSecond: Number(/^Requests\/sec:\s+([\d.]+)/m.exec(stdout)?.[1]),
    p99: Number(value) * { us: 0.001, ms: 1, s: 1_000 }[unit as 'us' | 'ms' | 's'],
  };
}

async function ab(folder: string, { url, headers, connections, seconds }: Target): Promise<Rate> {
  const table = join(folder, 'ab.csv');
  const options = ['-q', '-i', '-k', '-c', String(connections), '-t', String(seconds), '-n', '1000000'];
  const { stdout } = await execute('ab', [...options, '-e', table, ...headerOptions(headers), url]);
  if (/Non-2xx|Failed requests:\s+[1-9]/.test(stdout)) throw new Error(`${url}: ${stdout}`);
  return {
    perSecond: Number(/^Requests per second:\s+([\d.]+)/m.exec(stdout)?.[1]),
    p99: Number(/^99,([\d.]+)/m.exec(await readFile(table, 'utf8'))?.[1]),
  };
}

const headerOptions = (headers: Record<string, string>) =>
  Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
