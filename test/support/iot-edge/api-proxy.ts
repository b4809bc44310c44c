import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tls } from '#proto/document/configuration.ts';
import { reachable } from '../bus.ts';
import { freePort } from '../ports.ts';

export type ApiProxyOptions = {
  /** Its certificate and key. */
  tls: Tls;
  /**
   * `host:port` of a gateway without TLS; or the proxy of the layer above, if this layer has no registry, with the
   * module name in its certificate.
   */
  to: { gateway: string } | { parent: string; authority: string; module?: string };
  /** Where it listens; otherwise on a free port of localhost. */
  at?: { address: string; port: number };
  /** TLS versions, as nginx names them. */
  protocols?: string;
};

/** nginx with the rules of IoT Edge's API proxy, for a layer with a registry and for one without. */
export class ApiProxy implements AsyncDisposable {
  /** `localhost:port`, or with the address where it listens, as clients name it. */
  readonly host: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  static async start({ tls, to, at, protocols = 'TLSv1.2' }: ApiProxyOptions): Promise<ApiProxy> {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-api-proxy-'));
    const { address, port } = at ?? { address: '127.0.0.1', port: await freePort() };
    const rules = 'gateway' in to ? toGateway(to.gateway) : toParent(to);
    const server = [
      `listen ${address}:${port} ssl;`,
      `ssl_protocols ${protocols};`,
      `ssl_certificate ${tls.certificateFile};`,
      `ssl_certificate_key ${tls.keyFile};`,
      ...rules,
    ];
    await writeFile(join(folder, 'nginx.conf'), configuration(folder, server));
    const options = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
    const child = spawn('/usr/sbin/nginx', options, { stdio: 'ignore' });
    const end = () => child.kill('SIGTERM');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const failed = once(child, 'exit').then(async () => {
      throw new Error(`nginx ended: ${await readFile(join(folder, 'error.log'), 'utf8')}`);
    });
    await Promise.race([reachable(port, address), failed]);
    failed.catch(() => {});
    return new ApiProxy(`${at ? address : 'localhost'}:${port}`, folder, child);
  }

  private constructor(host: string, folder: string, child: ChildProcess) {
    this.host = host;
    this.#folder = folder;
    this.#process = child;
  }

  /** The requests and their status, as `GET /v2/ 401`, in order. */
  async requests(): Promise<string[]> {
    return (await readFile(join(this.#folder, 'access.log'), 'utf8')).split('\n').filter(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGTERM');
    await once(this.#process, 'exit');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const toGateway = (gateway: string) =>
  ['/v2', '/acr'].map(
    (path) => `
    location ${path} {
      proxy_http_version 1.1;
      proxy_pass http://${gateway};
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      client_max_body_size 1000G;
    }`,
  );

/** Forwards only paths of the registry API. Host is the address of the proxy above, not the name that clients use. */
const toParent = ({
  parent,
  authority,
  module = 'localhost',
}: Extract<ApiProxyOptions['to'], { parent: string }>) => [
  `
    if ($uri ~ ^/v2*.) {
      rewrite ^(.*)$ /parent$1 last;
    }
    location ~ ^/parent/(.*) {
      proxy_http_version 1.1;
      proxy_ssl_server_name on;
      proxy_ssl_name ${module};
      proxy_ssl_trusted_certificate ${authority};
      proxy_ssl_verify_depth 7;
      proxy_ssl_verify on;
      proxy_pass https://${parent.replace('localhost', '127.0.0.1')}/$1$is_args$args;
    }`,
];

const configuration = (folder: string, server: string[]) => `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/pid;
events {}
http {
  log_format requests '$request_method $request_uri $status';
  access_log ${folder}/access.log requests;
  proxy_buffers 32 160k;
  proxy_buffer_size 160k;
  proxy_read_timeout 3600;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  server {
    ${server.join('\n    ')}
  }
}
`;
