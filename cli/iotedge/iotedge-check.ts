import { isMapping } from '#proto/contract/plain-data.ts';
import { quote } from '#proto/document/validation/remedies.ts';
import { twinComplaints } from '#proto/iot-edge/twin-rules.ts';
import { modulesOf, settingsComplaints } from './check/modules.ts';
import { placeholderComplaints } from './check/placeholders.ts';
import { portComplaints } from './check/ports.ts';
import { messageRouteComplaints, proxyRouteComplaints } from './check/routes.ts';
import { isTerrace, terraceComplaints } from './check/terrace-module.ts';
import { readTwins, type Twins } from './check/twins.ts';
import { agentSchemas } from './schema/agent-schema.ts';
import { hubSchemas } from './schema/hub-schema.ts';
import { type Complaint, schemaAt, schemaComplaints } from './schema/schema-complaints.ts';

/**
 * Validation of deployment manifests before a device gets them. Pure; each complaint is one sentence that names the
 * place and the remedy, and all of them are found at once.
 *
 * Each twin is read, complete or as the parts of a layered deployment (check/twins.ts). The twins of edgeAgent and
 * edgeHub are checked against the published schemas (schema/), all twins against the limits of a hub. No schema knows
 * the rest: images, logins and create options (check/modules.ts), ports of the device, routes of messages and of the
 * API proxy, what each Terrace itself will say of its environment and its twin, and passwords that are placeholders.
 *
 * @param hasCatalog the sync token of a top layer may list the catalog
 */
export function manifestComplaints(manifest: unknown, { hasCatalog = false } = {}): string[] {
  const outer = isMapping(manifest) && isMapping(manifest.content) ? manifest.content : manifest;
  const content = isMapping(outer) ? outer.modulesContent : undefined;
  if (!isMapping(content))
    return ['modulesContent is missing: a manifest starts with {"modulesContent": {"$edgeAgent": …'];
  const twins = readTwins(content);
  const found = [...twins.complaints, ...systemComplaints(twins), ...contentComplaints(twins, hasCatalog)];
  const places = new Set(found.map(({ at }) => at));
  for (const [name, { pieces }] of twins.twins) {
    for (const { steps, value } of pieces) {
      for (const text of twinComplaints(value, [name, ...steps].join('.'))) {
        // The schema has complained about the same name.
        if (![...places].some((at) => text.startsWith(`${at} `))) found.push({ at: name, text });
      }
    }
  }
  return [...new Set(found.map(({ text }) => text))];
}

const SYSTEM = { $edgeAgent: agentSchemas, $edgeHub: hubSchemas };

/** Complaints of the published schemas. In a layered deployment, each part is checked at its place in the schema. */
function systemComplaints({ twins, isLayered }: Twins): Complaint[] {
  return Object.entries(SYSTEM).flatMap(([name, schemas]) => {
    const twin = twins.get(name);
    if (!twin) {
      const text = `${name} is missing: write {"${name}": {"properties.desired": {…}}}`;
      return isLayered ? [] : [{ at: name, text }];
    }
    const versions = Object.keys(schemas);
    const newest = versions.at(-1) as string;
    const { schemaVersion } = twin.desired;
    const at = `${name}.schemaVersion`;
    const isKnown = typeof schemaVersion === 'string' && versions.includes(schemaVersion);
    const schema = new Map(Object.entries(schemas)).get(isKnown ? schemaVersion : newest);
    return twin.pieces.flatMap(({ key, steps, value }) => {
      if (!schema) return [];
      if (steps.length === 0) {
        const complaints = schemaComplaints(schema, value, name).filter((one) => isKnown || one.at !== at);
        const cause = schemaVersion === undefined ? 'is missing' : `${quote(schemaVersion)} is not valid`;
        return isKnown
          ? complaints
          : [{ at, text: `${at} ${cause}: write ${quoted(versions)}` }, ...complaints];
      }
      const part = schemaAt(schema, steps);
      const place = [name, ...steps].join('.');
      return part
        ? schemaComplaints(part, value, place)
        : [
            {
              at: `${name}.${key}`,
              text: `${name}.${key} has no place in the twin of ${name}: correct the name`,
            },
          ];
    });
  });
}

const quoted = (versions: string[]) =>
  versions
    .toReversed()
    .map((version) => `"${version}"`)
    .join(' or ');

/** What the schemas can't say. */
function contentComplaints({ twins, isLayered }: Twins, hasCatalog: boolean): Complaint[] {
  const agent = twins.get('$edgeAgent')?.desired ?? {};
  const hub = twins.get('$edgeHub')?.desired ?? {};
  const modules = modulesOf(agent);
  const isKnown = (name: string) => isLayered || modules.some((module) => module.name === name);
  const strangers = [...twins.keys()].filter((name) => !(name in SYSTEM) && !isKnown(name));
  return [
    ...strangers.map((at) => ({ at, text: `${at} is not a module of $edgeAgent: add it there` })),
    ...settingsComplaints(agent, isLayered),
    ...portComplaints(modules),
    ...messageRouteComplaints(hub, isKnown),
    ...proxyRouteComplaints(modules, isLayered),
    ...modules
      .filter(isTerrace)
      .flatMap((module) => terraceComplaints(module, twins.get(module.name), { isLayered, hasCatalog })),
    ...placeholderComplaints(agent, modules),
  ];
}
