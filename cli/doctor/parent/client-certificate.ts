import { X509Certificate } from 'node:crypto';
import { Fault } from '#proto/contract/fault.ts';
import { files } from '#proto/document/files.ts';
import { type CertificateAndKey, checkPair, readPair } from '#proto/http/certificate-pair.ts';
import { certificateDates, dayOf } from '../verdict/certificate-dates.ts';
import { causeAndRemedy, fault, type Verdict } from '../verdict/check.ts';
import type { ParentTarget } from './parent-facts.ts';

/** The client certificate for the parent, and its private key. */

export async function checkClientCertificate(target: ParentTarget): Promise<Verdict> {
  const { certificateFile, keyFile } = target;
  // The check `files` says why.
  if ([certificateFile, keyFile].some((path) => path !== undefined && !files.readable(path))) {
    return { unchecked: 'parent.certificateFile or parent.keyFile can not be read here' };
  }
  return pairVerdict(await clientPair(target), Date.now());
}

/** Undefined if none is configured; the fault if the pair can't be used. */
export async function clientPair({
  certificateFile,
  keyFile,
}: ParentTarget): Promise<CertificateAndKey | Fault | undefined> {
  if (certificateFile === undefined || keyFile === undefined) return undefined;
  const files = { certificateFile, keyFile };
  try {
    const pair = await readPair(files, 'parent');
    checkPair(pair, files, 'parent');
    return pair;
  } catch (error) {
    if (Fault.is(error)) return error;
    throw error;
  }
}

/** Pure. */
export function pairVerdict(pair: CertificateAndKey | Fault | undefined, now: number): Verdict {
  if (pair === undefined) return { about: 'none' };
  if (Fault.is(pair)) {
    const { what, remedy } = causeAndRemedy(pair.message);
    return { about: '', findings: [fault(what, remedy)] };
  }
  const certificate = new X509Certificate(pair.cert);
  const validity = { from: Date.parse(certificate.validFrom), to: Date.parse(certificate.validTo) };
  return {
    about: `ends on ${dayOf(validity.to)}`,
    findings: certificateDates(
      'the client certificate for the parent',
      validity,
      'let the authority of the parent issue a new one, and write it to parent.certificateFile',
      now,
    ),
  };
}
