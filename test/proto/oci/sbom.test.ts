import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { readSbom } from '#proto/oci/sbom.ts';

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const spdx = { spdxVersion: 'SPDX-2.3', name: 'web', packages: [{}, {}] };
const statement = { _type: 'x', predicateType: 'https://spdx.dev/Document', predicate: spdx };
const dsse = { payloadType: 'x', payload: json(statement).toString('base64'), signatures: [] };
const found = { format: 'SPDX', version: '2.3', name: 'web', packages: 2 };
const cyclone = { bomFormat: 'CycloneDX', specVersion: '1.5', components: [{}] };
const xml =
  '<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><metadata><component/></metadata><components><component type="x"></component></components></bom>';

const read = (bytes: Uint8Array) => {
  const { extracted, ...sbom } = readSbom(bytes);
  return extracted ? { ...sbom, extracted: Buffer.from(extracted).toString() } : sbom;
};

test('formats of SBOMs are recognized, with what they are about and their number of packages', () => {
  for (const [document, expected] of [
    [json(spdx), found],
    [
      json({ ...cyclone, metadata: { component: { name: 'web' } } }),
      { format: 'CycloneDX', version: '1.5', name: 'web', packages: 1 },
    ],
    [
      json({ '@context': 'x', '@graph': [{ type: 'software_Package' }, { type: 'Person' }] }),
      { format: 'SPDX', version: '3', packages: 1 },
    ],
    [
      json({ artifacts: [{}], descriptor: { version: '1.2' }, source: { name: 'web' } }),
      { format: 'Syft', version: '1.2', name: 'web', packages: 1 },
    ],
    [
      Buffer.from('SPDXVersion: SPDX-2.2\nDocumentName: web\nPackageName: a\nPackageName: b\n'),
      { ...found, version: '2.2' },
    ],
    [Buffer.from(xml), { format: 'CycloneDX', version: '1.4', packages: 1 }],
    [json({ any: 'thing' }), { format: 'unknown' }],
    [Buffer.from([0xff, 0xfe]), { format: 'unknown' }],
  ] as const)
    deepEqual(read(document), expected);
});

test('a document is taken out of statements, envelopes, bundles and the wrapper of cosign', () => {
  for (const wrapped of [
    statement,
    dsse,
    { mediaType: 'x', dsseEnvelope: dsse },
    { ...statement, predicate: { Data: spdx, Timestamp: 'x' } },
  ])
    deepEqual(read(json(wrapped)), { ...found, extracted: JSON.stringify(spdx) });
  const text = 'SPDXVersion: SPDX-2.2\nPackageName: a\n';
  deepEqual(read(json({ ...statement, predicate: { Data: text, Timestamp: 'x' } })), {
    ...{ format: 'SPDX', version: '2.2', packages: 1 },
    extracted: text,
  });
});
