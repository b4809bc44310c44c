/** How a release was built: an in-toto statement with SLSA's provenance (slsa.dev/spec/v1.0/provenance). Pure. */

export const STATEMENT = 'application/vnd.in-toto+json';

export type Subject = { name: string; sha256: string };

export type ProvenanceOptions = {
  subjects: Subject[];
  /** Full id of the commit, and of the repository if it is known. */
  commit: string;
  repository: string | undefined;
  architectures: readonly string[];
  /** Node that built, and Debian's release of the image. */
  tools: Record<string, string>;
  builder: string;
};

export const provenanceOf = (options: ProvenanceOptions): object => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: options.subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: 'https://slsa.dev/container-based-build/v0.1?draft#terrace-release',
      externalParameters: { script: 'deploy/release/release.ts', architectures: options.architectures },
      internalParameters: options.tools,
      resolvedDependencies: [
        {
          uri: options.repository ? `git+${options.repository}` : 'git+terrace',
          digest: { gitCommit: options.commit },
        },
      ],
    },
    runDetails: { builder: { id: options.builder } },
  },
});
