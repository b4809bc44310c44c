import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { reachable } from '../bus.ts';
import { freePort } from '../ports.ts';

export type Account = { username: string; password: string };

export type CloudOptions = {
  /** Folder of its content. Without it, a temporary folder that is deleted with the cloud. */
  folder?: string;
  port?: number;
  /** Every request has to authenticate as this account (Basic). */
  account?: Account;
  /** Logs each request. */
  accessLog?: boolean;
  /** Serves with TLS; with `clientCa`, only clients whose certificate that authority signed. */
  tls?: { certificateFile: string; keyFile: string; clientCa?: string };
};

/** The cloud: docker-registry of Debian, a registry that is no Terrace, as a child process of the test. */
export class Cloud implements AsyncDisposable {
  readonly folder: string;
  /** Path of its log, from stdout and stderr. */
  readonly log: string;
  readonly #options: CloudOptions;
  #port = 0;
  #process: ChildProcess | undefined;

  constructor(folder: string, options: CloudOptions) {
    this.folder = folder;
    this.log = join(folder, 'log');
    this.#options = options;
  }

  get port(): number {
    return this.#port;
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get url(): string {
    return `${this.#options.tls ? 'https' : 'http'}://${this.host}`;
  }

  /** URL with the account in it, as the functions of image.ts accept it. */
  get login(): string {
    const { account } = this.#options;
    return account
      ? `http://${account.username}:${encodeURIComponent(account.password)}@${this.host}`
      : this.url;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    if (this.#process) throw new Error('the cloud is already running');
    this.#port ||= this.#options.port ?? (await freePort());
    const configuration = join(this.folder, 'config.yml');
    await writeFile(configuration, stringify(await this.#configuration()));
    const log = openSync(this.log, 'a');
    const child = spawn('docker-registry', ['serve', configuration], { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#process = child;
    // A test that fails without disposing must leave no process behind.
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const failed = once(child, 'exit').then(async () => {
      throw new Error(`docker-registry ended: ${(await readFile(this.log, 'utf8')).slice(-1_000)}`);
    });
    await Promise.race([reachable(this.#port), failed]);
    // After the start, an exit is no failure.
    failed.catch(() => {});
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Restarts on the same port with the same content. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    if (!this.#options.folder) await rm(this.folder, { recursive: true, force: true });
  }

  async #configuration(): Promise<object> {
    const { account, accessLog = false, tls } = this.#options;
    const passwords = join(this.folder, 'htpasswd');
    if (account) await writeFile(passwords, `${account.username}:${bcrypt(account.password)}\n`);
    return {
      version: '0.1',
      log: { level: accessLog ? 'info' : 'warn', accesslog: { disabled: !accessLog } },
      storage: { filesystem: { rootdirectory: join(this.folder, 'registry') }, delete: { enabled: true } },
      http: {
        addr: this.host,
        secret: 'one secret for each start, so that uploads outlive it',
        ...(tls && {
          tls: {
            certificate: tls.certificateFile,
            key: tls.keyFile,
            ...(tls.clientCa && { clientcas: [tls.clientCa] }),
          },
        }),
      },
      ...(account && { auth: { htpasswd: { realm: 'cloud', path: passwords } } }),
    };
  }
}

export async function startCloud(options: CloudOptions = {}): Promise<Cloud> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'terrace-cloud-')));
  await mkdir(folder, { recursive: true });
  const cloud = new Cloud(folder, options);
  await cloud.start();
  return cloud;
}

/** docker-registry accepts no other hash, and Node lacks it. Perl is part of every Debian, and its crypt(3) has it. */
function bcrypt(password: string): string {
  const letters = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  // 22 letters encode 128 bits: the last one encodes only two of them.
  const salt = [...randomBytes(21)].map((byte) => letters[byte % 64]).join('');
  const program = 'print crypt($ARGV[0], $ARGV[1])';
  return execFileSync('perl', ['-e', program, password, `$2y$05$${salt}.`], { encoding: 'utf8' });
}
