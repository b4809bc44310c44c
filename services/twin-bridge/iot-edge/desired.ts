/** What a twin's `desired` means for a layer. Pure. */

export type Properties = Record<string, unknown>;

/** Desired properties as one document, JSON. */
export type Desired = { version: number; text: string };

/**
 * @returns undefined where it is not known what is desired: edgeHub without an upstream and without a store answers 200
 * with an empty twin, which only lacks its `$version` (Azure/iotedge#6948). It does not mean that nothing is desired.
 */
export function desiredOf(properties: unknown): Desired | undefined {
  if (!isMapping(properties)) return undefined;
  const { $version: version, $metadata: _metadata, ...fields } = properties;
  if (!Number.isInteger(version)) return undefined;
  return { version: version as number, text: JSON.stringify(withoutNulls(fields)) };
}

/** What the twin holds of what the module reported. */
export function reportedOf(properties: unknown): Properties {
  if (!isMapping(properties)) return {};
  const { $version: _version, $metadata: _metadata, ...fields } = properties;
  return withoutNulls(fields);
}

/** edgeHub's merge keeps nulls inside of an object that is new to its store; they mean that nothing is there. */
export function withoutNulls(fields: Properties): Properties {
  const kept = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(
    kept.map(([key, value]) => [key, isMapping(value) ? withoutNulls(value) : value]),
  );
}

export const isMapping = (value: unknown): value is Properties =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
