import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tls } from '#proto/document/configuration.ts';
import { execute } from './registry/debian.ts';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate authority for one test, created with openssl. Its folder is deleted with it. */
export class Authority implements AsyncDisposable {
  readonly folder: string;
  /** Path of its certificate, in PEM, which clients trust. */
  readonly certificate: string;

  static async create(): Promise<Authority> {
    const authority = new Authority(await mkdtemp(join(tmpdir(), 'terrace-authority-')));
    await authority.#request('ca', ['basicConstraints=critical,CA:true', 'keyUsage=keyCertSign'], 30, []);
    return authority;
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.certificate = join(folder, 'ca.crt');
  }

  /**
   * Issues a server certificate for localhost, 127.0.0.1 and `names`, which may be addresses.
   * @param days until it ends; if negative, it has ended
   * @param isLocal false: it is for `names` only
   * @returns the paths of certificate and key
   */
  async issue(name: string, { days = 90, names = [] as string[], isLocal = true } = {}): Promise<Tls> {
    const others = names.map((host) => `${isIP(host) ? 'IP' : 'DNS'}:${host}`);
    const alternatives = [...(isLocal ? ['DNS:localhost', 'IP:127.0.0.1'] : []), ...others].join();
    const signer = ['-CA', this.certificate, '-CAkey', join(this.folder, 'ca.key')];
    await this.#request(
      name,
      ['basicConstraints=critical,CA:false', `subjectAltName=${alternatives}`],
      days,
      signer,
    );
    return {
      certificateFile: join(this.folder, `${name}.crt`),
      keyFile: join(this.folder, `${name}.key`),
    };
  }

  /** A folder with the authority's certificate as `ca.crt`, for `--cert-dir` of podman and skopeo. */
  async trustFolder(): Promise<string> {
    const folder = join(this.folder, 'trust');
    await mkdir(folder, { recursive: true });
    await execute('cp', [this.certificate, join(folder, 'ca.crt')]);
    return folder;
  }

  async #request(name: string, extensions: string[], days: number, signer: string[]): Promise<void> {
    const configFile = join(this.folder, `${name}.cnf`);
    const body = ['[req]', 'distinguished_name=dn', 'x509_extensions=x', '[dn]', '[x]', ...extensions];
    await writeFile(configFile, `${body.join('\n')}\n`);
    const files = ['-keyout', join(this.folder, `${name}.key`), '-out', join(this.folder, `${name}.crt`)];
    const request = [...CURVE, '-config', configFile, '-subj', `/CN=${name}`];
    const period = ['-days', `${days}`];
    if (days > 0) {
      await execute('openssl', ['req', '-x509', ...request, ...period, ...signer, ...files]);
      return;
    }
    // "openssl req" issues no certificate that has ended.
    const [asked, issued] = ['csr', 'crt'].map((type) => join(this.folder, `${name}.${type}`)) as [
      string,
      string,
    ];
    await execute('openssl', ['req', '-new', ...request, ...files.slice(0, 2), '-out', asked]);
    const extended = ['-extfile', configFile, '-extensions', 'x'];
    await execute('openssl', [
      'x509',
      '-req',
      '-in',
      asked,
      '-out',
      issued,
      ...period,
      ...extended,
      ...signer,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
