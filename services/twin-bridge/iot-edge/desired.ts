import { isMapping } from '#proto/contract/plain-data.ts';
/** Desired and reported properties of a twin, as a layer reads them. Pure. */

export type Properties = Record<string, unknown>;

/** Desired properties as one document, JSON. */
export type Desired = { version: number; text: string };

/**
 * @returns undefined if the desired properties are unknown: edgeHub without an upstream and without a store answers 200
 * with an empty twin, recognizable only by its missing `$version` (Azure/iotedge#6948). Such a twin does not mean that
 * nothing is desired.
 */
export function desiredOf(properties: unknown): Desired | undefined {
  if (!isMapping(properties)) return undefined;
  const { $version: version, $metadata: _metadata, ...fields } = properties;
  if (!Number.isInteger(version)) return undefined;
  return { version: version as number, text: JSON.stringify(withoutNulls(fields)) };
}

/** The reported properties that the twin holds. */
export function twinReported(properties: unknown): Properties {
  if (!isMapping(properties)) return {};
  const { $version: _version, $metadata: _metadata, ...fields } = properties;
  return withoutNulls(fields);
}

/** edgeHub's merge retains nulls inside an object that is new to its store; they stand for missing fields. */
export function withoutNulls(fields: Properties): Properties {
  const present = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(
    present.map(([key, value]) => [key, isMapping(value) ? withoutNulls(value) : value]),
  );
}
