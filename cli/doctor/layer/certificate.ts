import { X509Certificate } from 'node:crypto';
import { Fault } from '#proto/contract/fault.ts';
import { files } from '#proto/document/files.ts';
import { checkPair, readPair } from '#proto/http/certificate-pair.ts';
import type { Subject } from '../subject/subject.ts';
import { certificateDates, dayOf } from '../verdict/certificate-dates.ts';
import { causeAndRemedy, fault, type Verdict } from '../verdict/check.ts';

/** The certificate with which this layer serves its clients. */

export async function checkCertificate({ configuration, status }: Subject): Promise<Verdict> {
  const { tls } = configuration ?? {};
  const ends = status?.services.find(({ certificateEnds }) => certificateEnds !== undefined)?.certificateEnds;
  // A gateway may have its certificate from its environment, or from the daemon of an IoT Edge device.
  if (!tls && ends !== undefined) return certificateVerdict('in use', { from: 0, to: ends }, Date.now());
  if (!tls) return { about: 'none: clients use plain HTTP' };
  if (![tls.certificateFile, tls.keyFile].every(files.readable)) {
    return { unchecked: 'tls.certificateFile or tls.keyFile can not be read here' };
  }
  try {
    const pair = await readPair(tls);
    checkPair(pair, tls);
    const { validFrom, validTo, subject } = new X509Certificate(pair.cert);
    return certificateVerdict(subject, { from: Date.parse(validFrom), to: Date.parse(validTo) }, Date.now());
  } catch (error) {
    if (!Fault.is(error)) throw error;
    const { what, remedy } = causeAndRemedy(error.message);
    return { about: '', findings: [fault(what, remedy)] };
  }
}

/** Pure. */
export function certificateVerdict(
  subject: string,
  validity: { from: number; to: number },
  now: number,
): Verdict {
  const remedy = 'write a new certificate and its key to the files of tls: they are read again at once';
  const findings = certificateDates('the certificate of this layer', validity, remedy, now);
  return { about: `${subject.replaceAll('\n', ', ')}, ends on ${dayOf(validity.to)}`, findings };
}
