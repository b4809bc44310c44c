import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reachable } from '../test/support/bus.ts';
import { freePort } from '../test/support/ports.ts';
import { unpack } from '../test/support/registry/debian.ts';

/** nginx with sendfile over one folder: about the highest rate at which this machine can serve a file. */
export class Nginx implements AsyncDisposable {
  readonly host: string;
  readonly #process: ChildProcess;

  /** @param folder contains its configuration, and below `content` the files that it serves */
  static async start(folder: string): Promise<Nginx> {
    await mkdir(join(folder, 'content'), { recursive: true });
    const port = await freePort();
    await writeFile(join(folder, 'nginx.conf'), configuration(folder, port));
    const options = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
    const child = spawn(await program(folder), options, { stdio: 'ignore' });
    const end = () => child.kill('SIGTERM');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    await reachable(port);
    return new Nginx(`127.0.0.1:${port}`, child);
  }

  private constructor(host: string, child: ChildProcess) {
    this.host = host;
    this.#process = child;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its workers end with it only on SIGTERM.
    this.#process.kill('SIGTERM');
    await once(this.#process, 'exit');
  }
}

/** Path of the installed nginx; else of Debian's, unpacked but not installed, since the installation would start it. */
async function program(folder: string): Promise<string> {
  const installed = '/usr/sbin/nginx';
  const isInstalled = await access(installed).then(
    () => true,
    () => false,
  );
  if (isInstalled) return installed;
  await unpack(['nginx'], process.arch === 'arm64' ? 'arm64' : 'amd64', join(folder, 'debian'));
  return join(folder, 'debian/usr/sbin/nginx');
}

const configuration = (folder: string, port: number) => `
daemon off;
worker_processes auto;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/pid;
events {}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    root ${folder}/content;
  }
}
`;
