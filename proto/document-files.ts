import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';

/** What is asked of the files that a configuration document names. */
export type Files = {
  /** Whether a file can be read. */
  readable: (path: string) => boolean;
  /** Whether a file that can be read holds a PEM certificate; not asked where left out. */
  holdsCertificate?: (path: string) => boolean;
};

/** Those of this machine. */
export const files: Required<Files> = {
  readable(path) {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  },
  holdsCertificate(path) {
    try {
      const [first] =
        /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/s.exec(readFileSync(path, 'latin1')) ?? [];
      return first !== undefined && new X509Certificate(first) !== undefined;
    } catch {
      return false;
    }
  },
};
