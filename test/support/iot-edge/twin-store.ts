type Properties = Record<string, unknown>;

/**
 * What edgeHub keeps of one module's twin (StoringTwinManager, ReportedPropertiesValidator and JsonEx.Merge of
 * Azure/iotedge). A hub without an upstream and without a store knows nothing, and answers an empty twin all the same.
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

  /** In place of all before. @returns what is told to the module */
  desire(desired: Properties, version = this.#versions.desired + 1): Properties {
    this.#desired = structuredClone(desired);
    this.#versions.desired = version;
    return { ...desired, $version: version };
  }

  /** As the answer to a GET has it. */
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
  if (Array.isArray(value)) return value.every((each) => isValid(each, depth + 1, true));
  if (!isMapping(value)) return true;
  return Object.entries(value).every(
    ([key, each]) => !/[\p{Cc}.$#\s]/u.test(key) && key.length <= 1024 && isValid(each, depth + 1, inList),
  );
}

/** Keeps nulls inside of an object that is new to the store, as edgeHub does. */
function merge(before: Properties, patch: Properties): Properties {
  const merged = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    const there = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isMapping(value) && isMapping(there) ? merge(there, value) : value;
  }
  return merged;
}
