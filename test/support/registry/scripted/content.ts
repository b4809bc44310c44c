import { randomUUID } from 'node:crypto';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { digestOf } from '../content.ts';

/** Content of one repository of the scripted registry. */
export type ScriptedRepository = {
  manifests: Map<string, { mediaType: string; bytes: Buffer }>;
  tags: Map<string, string>;
  blobs: Map<string, Buffer>;
};

export type ImageFields = {
  /** Content of each layer. */
  layers?: (string | Buffer)[];
  /** Changes the document before it is stored. */
  edit?: (document: ImageDocument) => object;
  subject?: Descriptor | undefined;
  artifactType?: string;
  mediaType?: string;
};

export type ImageDocument = {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  config: Descriptor;
  layers: Descriptor[];
  subject?: Descriptor;
};

export type StoredImage = Descriptor & { config: Descriptor; layers: Descriptor[] };

/** The repositories of the scripted registry, in memory. Nothing is checked: a test may store what no client pushes. */
export class ScriptedContent {
  readonly repositories = new Map<string, ScriptedRepository>();
  /** Part of all generated content, so that registries have none in common. */
  readonly #seed = randomUUID();

  of(repository: string): ScriptedRepository {
    const known = this.repositories.get(repository);
    if (known) return known;
    const created = { manifests: new Map(), tags: new Map(), blobs: new Map() };
    this.repositories.set(repository, created);
    return created;
  }

  blob(
    repository: string,
    content: string | Buffer,
    mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip',
  ): Descriptor {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes);
    this.of(repository).blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** Stores a manifest as it is written, under its digest and the tag. */
  manifest(
    repository: string,
    tag: string | undefined,
    mediaType: string,
    document: object | string | Buffer,
  ): Descriptor {
    const isText = typeof document === 'string' || Buffer.isBuffer(document);
    const bytes = Buffer.from(isText ? (document as string) : JSON.stringify(document));
    const digest = digestOf(bytes);
    this.of(repository).manifests.set(digest, { mediaType, bytes });
    if (tag) this.of(repository).tags.set(tag, digest);
    return { mediaType, digest, size: bytes.length };
  }

  /** Stores an image, or with `subject` a referrer. */
  image(repository: string, tag: string | undefined, fields: ImageFields = {}): StoredImage {
    const {
      layers = [`layer of ${repository}:${tag} ${this.#seed}`],
      edit = (document) => document,
      subject,
    } = fields;
    const { artifactType, mediaType = mediaTypes.ociManifest } = fields;
    const stored = layers.map((layer) => this.blob(repository, layer));
    const config = this.blob(
      repository,
      JSON.stringify({ os: 'linux', architecture: 'amd64', of: [this.#seed, tag, subject, stored] }),
      'application/vnd.oci.image.config.v1+json',
    );
    const document: ImageDocument = {
      schemaVersion: 2,
      mediaType,
      ...(artifactType && { artifactType }),
      config,
      layers: stored,
      ...(subject && { subject }),
    };
    return { ...this.manifest(repository, tag, mediaType, edit(document)), config, layers: stored };
  }

  /** Stores an index; entries may name content that does not exist. */
  index(
    repository: string,
    tag: string | undefined,
    manifests: (Descriptor & { platform?: object })[],
    mediaType: string = mediaTypes.ociIndex,
  ): Descriptor {
    const entries = manifests.map(({ mediaType, digest, size, platform, artifactType }) => ({
      mediaType,
      digest,
      size,
      ...(platform && { platform }),
      ...(artifactType && { artifactType }),
    }));
    return this.manifest(repository, tag, mediaType, { schemaVersion: 2, mediaType, manifests: entries });
  }

  /** Descriptors of the manifests with this subject. */
  referrers(repository: string, subject: string): Descriptor[] {
    return [...this.of(repository).manifests].flatMap(([digest, { mediaType, bytes }]) => {
      const document = parsed(bytes);
      if (document?.subject?.digest !== subject) return [];
      const artifactType = document.artifactType ?? document.config?.mediaType;
      return [{ mediaType, digest, size: bytes.length, ...(artifactType && { artifactType }) }];
    });
  }
}

function parsed(bytes: Buffer): Partial<ImageDocument> | undefined {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
