import { parseJson } from '../contract/bounded-json.ts';
import { clip } from '../contract/clip.ts';
import type { Descriptor } from './manifest.ts';

/** Configurations of images: which blob it is, and the platform that it names. Pure. */

/** Max characters of a platform as text. */
export const MAX_PLATFORM_TEXT = 100;
/** Max JSON values in a configuration: one with a long history has some thousand. */
const MAX_VALUES = 50_000;

const configTypes: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);

export const isImageConfig = (mediaType: string): boolean => configTypes.has(mediaType);

/** Digest of the configuration that a manifest names: its references do not say which of them that is. */
export function configDigestOf(json: unknown): string | undefined {
  const { config } = (json ?? {}) as { config?: { digest?: unknown } | null };
  return typeof config?.digest === 'string' ? config.digest : undefined;
}

/** `os/architecture/variant`; undefined if none of it is named. */
export function platformText({
  os,
  architecture,
  variant,
}: NonNullable<Descriptor['platform']> = {}): string | undefined {
  const text = [os, architecture, variant].filter(Boolean).join('/');
  return text ? clip(text, MAX_PLATFORM_TEXT) : undefined;
}

/** The platform that a configuration names; undefined if it names none, or can't be read. */
export function platformOfConfig(bytes: Uint8Array): string | undefined {
  try {
    const json = parseJson(bytes, { values: MAX_VALUES }) as Record<string, unknown> | null;
    const texts = ['os', 'architecture', 'variant'].map((field) => {
      const value = json?.[field];
      return typeof value === 'string' ? value : undefined;
    });
    const [os, architecture, variant] = texts;
    return platformText({
      ...(os && { os }),
      ...(architecture && { architecture }),
      ...(variant && { variant }),
    });
  } catch {
    return undefined;
  }
}
