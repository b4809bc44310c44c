import { X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import type { CertificateHolder } from './renew-from-files.ts';

/** The certificate that a server has now. New ones are installed through this. */
export class HeldCertificate implements CertificateHolder {
  readonly #server: CertificateHolder;
  #cert: SecureContextOptions['cert'];

  constructor(server: CertificateHolder, pair: CertificateAndKey | undefined) {
    this.#server = server;
    this.#cert = pair?.cert;
  }

  setSecureContext(options: SecureContextOptions): void {
    this.#server.setSecureContext(options);
    this.#cert = options.cert;
  }

  /** When it ends, in ms since 1970; empty without TLS. */
  end(): { certificateEnds?: number } {
    if (typeof this.#cert !== 'string') return {};
    return { certificateEnds: Date.parse(new X509Certificate(this.#cert).validTo) };
  }
}
