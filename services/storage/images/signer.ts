import { X509Certificate } from 'node:crypto';
import type { Signer } from '#proto/content/images.ts';
import { parseJson } from '#proto/contract/bounded-json.ts';
import { clip } from '#proto/contract/clip.ts';

/**
 * What signatures say of their author: a name in a certificate that anyone may have made. Nothing is verified here.
 * Pure. Formats: cosign (layers with annotations), bundles of Sigstore, and notation (JWS; a signature in COSE says
 * nothing that is read here).
 */

const MAX_TEXT = 256;
/** Max JSON values in a signature. */
const MAX_VALUES = 10_000;

export const COSIGN_CERTIFICATE = 'dev.sigstore.cosign/certificate';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>((found, key) => (isObject(found) ? found[key] : undefined), value);

export function schemeOf(type: string): Signer['scheme'] {
  if (/notary|notation|jose\+json|application\/cose/i.test(type)) return 'notation';
  if (/sigstore\.bundle/i.test(type)) return 'sigstore';
  return /cosign|simplesigning/i.test(type) ? 'cosign' : 'other';
}

/** @param content the signature itself, if it was read: a bundle or a JWS */
export function signerOf(
  type: string,
  annotations: Readonly<Record<string, string>>,
  content: Uint8Array | undefined,
): Signer {
  const scheme = schemeOf(type);
  const certificate = annotations[COSIGN_CERTIFICATE] ?? (content && certificateIn(content));
  return { scheme, ...(certificate && namesIn(certificate)), verified: false };
}

/** The certificate of the author in a bundle of Sigstore, or in a JWS of notation. */
function certificateIn(content: Uint8Array): Buffer | undefined {
  let json: unknown;
  try {
    json = parseJson(content, { values: MAX_VALUES });
  } catch {
    return undefined;
  }
  const material = at(json, 'verificationMaterial');
  const found =
    at(material, 'certificate', 'rawBytes') ??
    at(material, 'x509CertificateChain', 'certificates', 0, 'rawBytes') ??
    at(json, 'header', 'x5c', 0);
  return typeof found === 'string' ? Buffer.from(found, 'base64') : undefined;
}

/** @param certificate PEM or DER */
function namesIn(certificate: string | Buffer): Pick<Signer, 'by' | 'issuer'> {
  try {
    const { subject, subjectAltName, issuer } = new X509Certificate(certificate);
    const by = alternativeName(subjectAltName) ?? distinguishedName(subject);
    const from = distinguishedName(issuer);
    return { ...(by && { by: clip(by, MAX_TEXT) }), ...(from && { issuer: clip(from, MAX_TEXT) }) };
  } catch {
    return {};
  }
}

/** `email:a@example.org, URI:https://…`: the first name. */
function alternativeName(text: string | undefined): string | undefined {
  const [, name] = /^(?:email|URI|DNS|othername):"?([^,"]+)/.exec(text ?? '') ?? [];
  return name?.trim() || undefined;
}

/** The common name, else the organization: `O=…` and `CN=…`, one a line. */
function distinguishedName(text: string | undefined): string | undefined {
  const fields = new Map(
    (text ?? '').split('\n').map((line) => {
      const end = line.indexOf('=');
      return [line.slice(0, end), line.slice(end + 1)] as const;
    }),
  );
  return fields.get('CN') || fields.get('O');
}
