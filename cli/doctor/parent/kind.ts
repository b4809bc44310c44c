import type { ParentChallenge } from '#proto/http/parent-challenge.ts';
import { CHANGES_PATH } from '#proto/sync/changes.ts';
import type { Verdict } from '../verdict/check.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import { ask } from './repositories.ts';
import { hasReferrersApi, sampleImage } from './sample-image.ts';

/** Which registry the parent is, and what Terrace does because of that: docs/guides/parents.md. */

/** By what registries differ: headers of their first answer, and the challenge in it. */
export type KindSeen = {
  host: string;
  isAzure: boolean;
  isTerrace: boolean;
  headers: Record<string, string>;
  challenge: ParentChallenge | undefined;
};

type Kind = { name: string; is: (seen: KindSeen) => boolean; quirk?: string };

const serviceOf = ({ challenge }: KindSeen): string => challenge?.parameters.service ?? '';
const realmOf = ({ challenge }: KindSeen): string => challenge?.parameters.realm ?? '';

/** The first that applies. */
const kinds: Kind[] = [
  { name: 'Terrace', is: ({ isTerrace }) => isTerrace, quirk: 'its changes are followed as they happen' },
  {
    name: 'Azure Container Registry',
    is: ({ isAzure }) => isAzure,
    quirk: 'changes are read from its lists by time',
  },
  {
    name: 'Harbor',
    is: (seen) => serviceOf(seen) === 'harbor-registry',
    quirk: 'the catalog is for administrators: projects are listed instead',
  },
  {
    name: 'Docker Hub',
    is: (seen) => serviceOf(seen) === 'registry.docker.io',
    quirk: 'it has no catalog: select by name',
  },
  {
    name: 'GitHub Packages',
    is: ({ host }) => host === 'ghcr.io',
    quirk: 'it has no catalog: select by name',
  },
  { name: 'Quay', is: (seen) => /quay/.test(`${serviceOf(seen)} ${seen.host}`) },
  {
    name: 'Elastic Container Registry',
    is: ({ host }) => /\.dkr\.ecr\./.test(host),
    quirk: 'passwords last 12 hours: renew the file of parent.passwordFile before',
  },
  { name: 'Artifact Registry', is: ({ host }) => /(?:^|\.)gcr\.io$|-docker\.pkg\.dev$/.test(host) },
  {
    name: 'GitLab',
    is: (seen) => /\/jwt\/auth/.test(realmOf(seen)),
    quirk: 'it has no catalog: select by name',
  },
  { name: 'Nexus', is: ({ headers }) => /nexus/i.test(headers.server ?? '') },
  {
    name: 'Artifactory',
    is: ({ headers }) =>
      headers['x-jfrog-version'] !== undefined || /artifactory/i.test(headers.server ?? ''),
  },
  { name: 'Gitea or Forgejo', is: (seen) => serviceOf(seen) === 'container_registry' },
  { name: 'zot', is: ({ headers }) => /zot/i.test(headers.server ?? '') },
  {
    name: 'distribution',
    is: ({ headers }) => headers['docker-distribution-api-version'] === 'registry/2.0',
  },
];

/** What was tried at one image of the parent; undefined: not tried. */
export type WaysSeen = { referrers?: boolean; digestHeader?: boolean; head?: boolean };

export async function checkKind(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const { headers = {}, challenges = [] } = facts;
  const isTerrace = await speaksTerrace(facts, signal);
  const seen: KindSeen = {
    host: target.url.hostname,
    isAzure: target.isAzure,
    isTerrace,
    headers,
    challenge: challenges[0],
  };
  const ways = isTerrace ? {} : await waysOf(target, facts, signal);
  return kindVerdict(seen, ways);
}

/** Only a Terrace has this path: others answer that they do not know it. */
async function speaksTerrace(facts: ParentFacts, signal: AbortSignal): Promise<boolean> {
  const { status, headers, body } = await ask(CHANGES_PATH, 'registry:catalog:*', facts, signal);
  return status === 200 && /json/.test(headers['content-type'] ?? '') && body.includes('"cursor"');
}

async function waysOf(target: ParentTarget, facts: ParentFacts, signal: AbortSignal): Promise<WaysSeen> {
  const image = await sampleImage(target, facts, signal);
  if (!image) return {};
  const referrers = await hasReferrersApi(image, facts, signal);
  return {
    head: image.hasHead,
    digestHeader: image.digest !== undefined,
    ...(referrers !== undefined && { referrers }),
  };
}

/** Pure. */
export function kindVerdict(seen: KindSeen, { referrers, digestHeader, head }: WaysSeen): Verdict {
  const kind = kinds.find(({ is }) => is(seen));
  const parts = [
    kind?.name ?? 'a registry of an unknown kind',
    ...(kind?.quirk ? [kind.quirk] : []),
    ...(head === false ? ['HEAD is not answered: manifests are read instead'] : []),
    ...(head && digestHeader === false ? ['it names no digests: manifests are read for them'] : []),
    ...(referrers === false ? ['it has no referrers API: signatures and SBOMs come by tags'] : []),
  ];
  return { about: parts.join('; ') };
}
