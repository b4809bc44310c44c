import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';

/** Checks of the files that a configuration document names. */
export type DocumentFiles = {
  /** Whether a file can be read. */
  readable: (path: string) => boolean;
  /** Whether a readable file holds a PEM certificate; if absent, this is not checked. */
  holdsCertificate?: (path: string) => boolean;
};

const END = '-----END CERTIFICATE-----';

/** Checks on the file system of this machine. */
export const files: Required<DocumentFiles> = {
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
      const text = readFileSync(path, 'latin1');
      const begin = text.indexOf('-----BEGIN CERTIFICATE-----');
      const end = text.indexOf(END, begin);
      return begin >= 0 && end >= 0 && new X509Certificate(text.slice(begin, end + END.length)) !== undefined;
    } catch {
      return false;
    }
  },
};
