import { parseJson } from '../contract/bounded-json.ts';
import { clip } from '../contract/clip.ts';

/** A software bill of materials, as it was found in a document. Pure. */
export type Sbom = {
  format: 'SPDX' | 'CycloneDX' | 'Syft' | 'unknown';
  /** Of the format, such as 2.3. */
  version?: string;
  /** What it is about, as it says. */
  name?: string;
  /** Number of packages, or components. */
  packages?: number;
  /** The document itself, if it was wrapped in an attestation. */
  extracted?: Uint8Array;
};

/** Max JSON values in a document: one of a large image has some hundred thousand. */
const MAX_VALUES = 5_000_000;
const MAX_TEXT = 256;
/** How many wrappers may be around a document: a bundle, an envelope, a statement, and one of cosign. */
const MAX_WRAPPERS = 4;

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value ? clip(value, MAX_TEXT) : undefined;

/** Reads SPDX and CycloneDX, also within an attestation: a statement of in-toto, an envelope, a bundle of Sigstore. */
export function readSbom(bytes: Uint8Array): Sbom {
  let json: unknown;
  try {
    json = parseJson(bytes, { values: MAX_VALUES });
  } catch {
    return ofText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  }
  let document = json;
  for (let depth = 0; depth < MAX_WRAPPERS; depth += 1) {
    const inner = unwrapped(document);
    if (inner === undefined) break;
    document = inner;
  }
  if (typeof document === 'string') {
    const extracted = Buffer.from(document);
    return { ...ofText(document), extracted };
  }
  const found = ofJson(document);
  return document === json ? found : { ...found, extracted: Buffer.from(JSON.stringify(document)) };
}

/** What a wrapper holds; undefined if the value is none. */
function unwrapped(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  if (isObject(value.dsseEnvelope)) return value.dsseEnvelope;
  if (typeof value.payload === 'string' && 'payloadType' in value) {
    try {
      return parseJson(Buffer.from(value.payload, 'base64'), { values: MAX_VALUES });
    } catch {
      return undefined;
    }
  }
  if (typeof value.predicateType === 'string' && value.predicate !== undefined) return value.predicate;
  // Versions of cosign before 2.
  if (value.Data !== undefined && value.Timestamp !== undefined) return value.Data;
  return undefined;
}

function ofJson(document: unknown): Sbom {
  if (!isObject(document)) return { format: 'unknown' };
  const { spdxVersion, bomFormat, specVersion, packages, components, artifacts, metadata } = document;
  if (typeof spdxVersion === 'string') {
    return sbom('SPDX', spdxVersion.replace(/^SPDX-/, ''), document.name, packages);
  }
  if (bomFormat === 'CycloneDX') {
    const component = isObject(metadata) && isObject(metadata.component) ? metadata.component : {};
    return sbom('CycloneDX', specVersion, component.name, components);
  }
  if (Array.isArray(document['@graph'])) {
    const elements = document['@graph'].filter(isObject);
    const found = elements.filter(({ type }) => type === 'software_Package');
    if (found.length > 0) return sbom('SPDX', '3', undefined, found);
  }
  if (Array.isArray(artifacts) && isObject(document.descriptor)) {
    const source = isObject(document.source) ? document.source : {};
    return sbom('Syft', document.descriptor.version, source.name, artifacts);
  }
  return { format: 'unknown' };
}

function sbom(format: Sbom['format'], version: unknown, name: unknown, packages: unknown): Sbom {
  const [known, about] = [textOf(version), textOf(name)];
  return {
    format,
    ...(known !== undefined && { version: known }),
    ...(about !== undefined && { name: about }),
    packages: Array.isArray(packages) ? packages.length : 0,
  };
}

/** SPDX as tags and values, and CycloneDX as XML. */
function ofText(text: string): Sbom {
  const [, spdx] = /^SPDXVersion: *SPDX-(\S+)/m.exec(text.slice(0, 4_096)) ?? [];
  if (spdx !== undefined) {
    const [, name] = /^DocumentName: *(.+)$/m.exec(text.slice(0, 16_384)) ?? [];
    return sbom('SPDX', spdx, name, text.match(/^PackageName:/gm) ?? []);
  }
  const [, cyclone] = /<bom[^>]*cyclonedx\.org\/schema\/bom\/([\d.]+)/.exec(text.slice(0, 4_096)) ?? [];
  if (cyclone === undefined) return { format: 'unknown' };
  // That of the document itself is in its metadata.
  const body = text.replace(/<metadata>[\s\S]*?<\/metadata>/, '');
  return sbom('CycloneDX', cyclone, undefined, body.match(/<component[\s>]/g) ?? []);
}
