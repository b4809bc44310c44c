import { parseJson } from '#proto/contract/bounded-json.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { isDigest, isTag } from '#proto/oci/names.ts';
import type { ParentFacts, ParentTarget, SampleImage } from './parent-facts.ts';
import type { HttpAnswer, ParentHttp } from './parent-http.ts';
import { ask, listTags, matchesOf, repositoriesOf } from './repositories.ts';

/** An image of the parent, by which it is tried what the parent supports. */

/** Max repositories in which an image is looked for. */
const MAX_TRIED = 3;
/** Max bytes of a manifest (distribution-spec). */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

const ACCEPT = `${Object.values(mediaTypes).join(', ')}, */*;q=0.5`;

/** Finds it once; two checks need it. Undefined if the selected repositories have none. */
export function sampleImage(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<SampleImage | undefined> {
  facts.image ??= findImage(target, facts, signal);
  return facts.image;
}

async function findImage(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<SampleImage | undefined> {
  const repositories = await repositoriesOf(target, facts, signal);
  const names = target.patterns.flatMap((pattern) => matchesOf(pattern, repositories));
  for (const repository of names.slice(0, MAX_TRIED)) {
    const tag = tagIn(await listTags(repository, target, facts, signal));
    if (tag === undefined) continue;
    const [head, manifest] = [
      await manifestOf(repository, tag, 'HEAD', facts, signal),
      await manifestOf(repository, tag, 'GET', facts, signal),
    ];
    const digest = head.headers['docker-content-digest'] ?? manifest.headers['docker-content-digest'];
    const blob = await smallBlob(repository, manifest, facts, signal);
    return {
      repository,
      hasHead: head.status === 200,
      ...(digest !== undefined && isDigest(digest) && { digest }),
      ...(blob !== undefined && { blob }),
    };
  }
  return undefined;
}

function tagIn({ status, body }: HttpAnswer): string | undefined {
  const { tags } = (status === 200 ? (jsonIn(body) ?? {}) : {}) as { tags?: unknown };
  const [first] = Array.isArray(tags) ? tags : [];
  return typeof first === 'string' && isTag(first) ? first : undefined;
}

async function manifestOf(
  repository: string,
  reference: string,
  method: 'HEAD' | 'GET',
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const authorization = await facts.authorize?.(`repository:${repository}:pull`, signal);
  return (facts.http as ParentHttp).request(`/v2/${repository}/manifests/${reference}`, {
    method,
    headers: { authorization, accept: ACCEPT },
    maxBytes: MAX_MANIFEST_BYTES,
    signal,
  });
}

type Manifest = { config?: { digest?: unknown }; manifests?: { digest?: unknown }[] };

/** The configuration of the image, or of the first one of an index: the smallest blob that each image has. */
async function smallBlob(
  repository: string,
  { status, body }: HttpAnswer,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<string | undefined> {
  const manifest = (status === 200 ? jsonIn(body) : undefined) as Manifest | undefined;
  const own = manifest?.config?.digest;
  if (typeof own === 'string' && isDigest(own)) return own;
  const child = manifest?.manifests?.[0]?.digest;
  if (typeof child !== 'string' || !isDigest(child)) return undefined;
  const answer = await manifestOf(repository, child, 'GET', facts, signal);
  const inner = (answer.status === 200 ? jsonIn(answer.body) : undefined) as Manifest | undefined;
  const digest = inner?.config?.digest;
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

/** Whether the parent lists the referrers of the image by the API of the distribution-spec. */
export async function hasReferrersApi(
  { repository, digest }: SampleImage,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  if (digest === undefined) return undefined;
  const scope = `repository:${repository}:pull`;
  const { status, headers } = await ask(`/v2/${repository}/referrers/${digest}`, scope, facts, signal);
  return status === 200 && /json/.test(headers['content-type'] ?? '');
}

function jsonIn(body: Buffer): unknown {
  try {
    return parseJson(body) ?? undefined;
  } catch {
    return undefined;
  }
}
