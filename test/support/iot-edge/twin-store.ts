type Properties = Record<string, unknown>;

/**
 * The twin of one module as edgeHub stores it (StoringTwinManager, ReportedPropertiesValidator and JsonEx.Merge of
 * Azure/iotedge). A hub without an upstream and without a store answers an empty twin.
 */
export class TwinStore {
  #desired: Properties = {};
  #reported: Properties = {};
  #versions = { desired: 1, reported: 1 };
  /** The hub has neither upstream nor store. */
  unknown = false;

  get reported(): Properties {
    return structuredClone(this.#reported);
  }

  get version(): number {
    return this.#versions.desired;
  }

  /** Replaces all desired properties. @returns the patch that the module receives */
  desire(desired: Properties, version = this.#versions.desired + 1): Properties {
    this.#desired = structuredClone(desired);
    this.#versions.desired = version;
    return { ...desired, $version: version };
  }

  /** The twin, as in the answer to a GET. */
  twin(): object {
    if (this.unknown) return { desired: {}, reported: {} };
    const { desired, reported } = this.#versions;
    const metadata = { $lastUpdated: '2026-01-01T00:00:00Z' };
    return {
      desired: { ...this.#desired, $metadata: metadata, $version: desired },
      reported: { ...this.#reported, $version: reported },
    };
  }

  /** @returns the status of the answer, which has no body either way */
  report(text: string): 204 | 400 {
    let patch: unknown;
    try {
      patch = JSON.parse(text);
    } catch {
      return 400;
    }
    if (!isMapping(patch) || Buffer.byteLength(text) > 32_768 || !isValid(patch)) return 400;
    this.#reported = merge(this.#reported, patch);
    this.#versions.reported += 1;
    return 204;
  }
}

export const isMapping = (value: unknown): value is Properties =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isValid(value: unknown, depth = 1, inList = false): boolean {
  if (depth > 11) return false;
  if (value === null) return !inList;
  if (typeof value === 'string') return Buffer.byteLength(value) <= 4096;
  if (typeof value === 'number') return !Number.isInteger(value) || Math.abs(value) <= 4503599627370496;
  if (Array.isArray(value)) return value.every((item) => isValid(item, depth + 1, true));
  if (!isMapping(value)) return true;
  return Object.entries(value).every(
    ([key, item]) => !/[\p{Cc}.$#\s]/u.test(key) && key.length <= 1024 && isValid(item, depth + 1, inList),
  );
}

/** Keeps nulls inside of an object that is new to the store, as edgeHub does. */
function merge(before: Properties, patch: Properties): Properties {
  const merged = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    const current = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isMapping(value) && isMapping(current) ? merge(current, value) : value;
  }
  return merged;
}
