import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tagMoved } from '#proto/content/content-events.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { startProxy } from '../test/support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { type Comparison, type Subject, timed } from './measure.ts';

const REPOSITORIES = 200;
const TAGS = 50;
const names = Array.from({ length: REPOSITORIES }, (_, n) => `bench/idle-${n}`);
const tags = Array.from({ length: TAGS }, (_, n) => `tag-${n}`);

/** The cost of a pass over many unchanged tags, below a Terrace and below another registry. */
export const idle: Subject = async (options) => {
  await using top = await testLayer({ name: 'top', mode: 'ReadWrite', logLevel: 'warn' });
  await using registry = await startCloud();
  options.progress(`idle: creating ${REPOSITORIES * TAGS} tags, twice`);
  for (const repository of names) {
    const { digest, bytes } = await pushImage(top.host, repository, undefined, { layers: [100] });
    const query = new URLSearchParams(tags.map((tag) => ['tag', tag] as [string, string]));
    await fetch(`${top.url}/v2/${repository}/manifests/${digest}?${query}`, {
      method: 'PUT',
      headers: { 'Content-Type': mediaTypes.ociManifest },
      body: bytes as Buffer<ArrayBuffer>,
    });
    await createTags(registry, repository);
  }
  const seconds: Record<string, number[]> = {};
  const requests: Record<string, number[]> = {};
  for (const [name, url] of Object.entries({ terrace: top.url, 'docker-registry': registry.url })) {
    await using link = await startProxy(url);
    await using layer = await testLayer({ name: 'bench', parent: link.url, logLevel: 'warn' });
    options.progress(`idle: the first pass below ${name}`);
    await layer.sync();
    seconds[name] = [];
    requests[name] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      options.progress(`idle: round ${round + 1} below ${name}`);
      link.clearRequests();
      seconds[name].push(
        await timed(async () => {
          const { ok, taken } = await layer.sync();
          if (!ok || taken > 0) throw new Error('the pass was not idle');
        }),
      );
      requests[name].push(link.requests.length);
    }
  }
  const subject = `an idle pass, ${REPOSITORIES * TAGS} tags in ${REPOSITORIES} repositories`;
  const arrivals = await arrivalTimes(top, options.rounds);
  return [
    { subject: `${subject}: requests to the parent`, unit: '', better: 'less', values: requests },
    { subject: `${subject}: time`, unit: 's', better: 'less', values: seconds },
    {
      subject: 'time until a tag that changed at the top is at the bottom of three layers',
      unit: 's',
      better: 'less',
      values: { terrace: arrivals },
    },
  ] satisfies Comparison[];
};

/** Creates the tags as copies of the first one's folder: pushing them would take minutes. */
async function createTags(registry: Cloud, repository: string): Promise<void> {
  await pushImage(registry.host, repository, 'tag-0', { layers: [100] });
  const folder = join(
    registry.folder,
    'registry/docker/registry/v2/repositories',
    repository,
    '_manifests/tags',
  );
  for (const tag of tags.slice(1)) {
    await mkdir(join(folder, tag), { recursive: true });
    await cp(join(folder, 'tag-0'), join(folder, tag), { recursive: true });
  }
}

async function arrivalTimes(top: { url: string; host: string }, rounds: number): Promise<number[]> {
  // They select one repository only: ten thousand tags would take minutes to be pulled first.
  const live = { schedule: '* * * * *', logLevel: 'warn' as const, repositories: [names[0] as string] };
  await using middle = await testLayer({ ...live, name: 'middle', parent: top.url });
  await using bottom = await testLayer({ ...live, name: 'bottom', parent: middle.url });
  for (const layer of [middle, bottom]) await layer.sync();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const { digest } = await pushImage(top.host, names[0] as string, `round-${round}`, {
      layers: [1_000 + round],
    });
    times.push(
      await timed(async () => void (await bottom.event(tagMoved, (moved) => moved.digest === digest))),
    );
  }
  return times;
}
