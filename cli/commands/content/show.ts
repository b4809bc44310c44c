import type { Command } from 'commander';
import type { Manifest } from '#proto/api/manifests.ts';
import type { TagItem } from '#proto/api/repositories.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { parseJson } from '#proto/contract/bounded-json.ts';
import { isDigest } from '#proto/oci/names.ts';
import { heldBelow } from '#proto/overview/content/held-below.ts';
import { manifestView } from '#proto/overview/content/manifest-view.ts';
import { tagItem } from '#proto/overview/content/sync-items.ts';
import { syncTags } from '#proto/sync/behind.ts';
import { connectOperator } from '../../connection/connect.ts';
import { readComparison } from '../../connection/content-lists.ts';
import { LocalContent } from '../../connection/read-content.ts';
import { dataOption } from '../../data/data-option.ts';
import { type ImageName, imageArgument } from '../../input/image-name.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { type ImageConfig, imageText } from '../../text/content/image-text.ts';

type Options = { data: string; json?: boolean };

/** Max manifests of an index whose layers are shown. */
const MAX_MANIFESTS = 8;
/** Max size of a configuration that is read, in bytes, and max texts of one list in it. */
const MAX_CONFIG_BYTES = 1024 * 1024;
const MAX_TEXTS = 50;

export function addShowCommand(program: Command): void {
  program
    .command('show <image>')
    .description('show an image, REPOSITORY:TAG or REPOSITORY@DIGEST: its parts, origin, signers and SBOMs')
    .addOption(dataOption())
    .option('--json', 'as JSON: the answer of the API to the manifest, with its tag and its manifests')
    .action(async (text: string, { data, json }: Options) => {
      const name = imageArgument(text);
      await using bus = await connectOperator(data);
      const content = new LocalContent(bus, data);
      const view = (reference: string) =>
        manifestView({ bus, read: content.manifest }, name.repository, reference);
      const manifest = await view(name.reference);
      const tag = isDigest(name.reference) ? undefined : await readTag(bus, name);
      const isImage = ({ here, platform }: Manifest['platforms'][number]) =>
        here && platform !== undefined && platform !== 'unknown/unknown';
      const manifests: Manifest[] = [];
      for (const { digest } of manifest.platforms.filter(isImage).slice(0, MAX_MANIFESTS))
        manifests.push(await view(digest));
      const config = await readConfig(content, manifest.config ? manifest : manifests[0]);
      const below = await heldBelow(bus, name.repository, manifest.digest);
      if (json)
        printJson(JSON.stringify({ name: text, ...manifest, tag, manifests, config, below }, null, 2));
      else print(imageText({ name: text, manifest, tag, manifests, config, below }, terminalWidth()));
    });
}

async function readTag(bus: Bus, { repository, reference }: ImageName): Promise<TagItem | undefined> {
  const query = { repository, tag: reference, limit: 1 };
  const [{ tags, covered, uncompared }, comparison] = await Promise.all([
    bus.call(syncTags, query),
    readComparison(bus),
  ]);
  const known = comparison.known && !uncompared;
  return tags[0] && tagItem(tags[0], covered, { ...comparison, known });
}

/** What the configuration says of how the image runs; undefined if there is none, or it can't be read. */
async function readConfig(
  content: LocalContent,
  manifest: Manifest | undefined,
): Promise<ImageConfig | undefined> {
  const descriptor = manifest?.config;
  if (!manifest || !descriptor?.here || !/image/.test(descriptor.mediaType)) return undefined;
  if (descriptor.size > MAX_CONFIG_BYTES) return undefined;
  const bytes = await content.blob(manifest.repository, descriptor.digest, MAX_CONFIG_BYTES);
  try {
    return configIn(parseJson(bytes, { values: 100_000 }));
  } catch {
    return undefined;
  }
}

function configIn(json: unknown): ImageConfig {
  const { created, config } = (json ?? {}) as { created?: unknown; config?: Record<string, unknown> | null };
  const { User: user, Entrypoint: entrypoint, Cmd: cmd, ExposedPorts: ports } = config ?? {};
  return {
    ...(typeof created === 'string' && { created }),
    ...(typeof user === 'string' && user && { user }),
    ...texts('entrypoint', entrypoint),
    ...texts('cmd', cmd),
    ...texts('ports', ports && typeof ports === 'object' ? Object.keys(ports) : undefined),
  };
}

function texts<N extends string>(name: N, value: unknown): { [key in N]?: string[] } {
  if (!Array.isArray(value)) return {};
  const found = value.filter((one) => typeof one === 'string').slice(0, MAX_TEXTS);
  return (found.length > 0 ? { [name]: found } : {}) as { [key in N]?: string[] };
}
