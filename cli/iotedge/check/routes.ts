import { isMapping } from '#proto/contract/plain-data.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import type { Module } from './modules.ts';
import { isTerrace, listenPortOf } from './terrace-module.ts';
import type { Fields } from './twins.ts';

/** Routes of messages in edgeHub, and of requests in the API proxy: their form, and that they lead to a module. */

/** edgeHub's grammar of a route, without what a condition says. Blanks are single ones. */
const ROUTE =
  /^FROM \/\S*(?: WHERE .+?)? INTO (?:\$upstream|BrokeredEndpoint ?\( ?"(?:\/modules\/([^/"]+)\/inputs\/[^"]+)" ?\))$/i;

/** @param hub desired properties of edgeHub @param isKnown whether a module of this name exists */
export function messageRouteComplaints(hub: Fields, isKnown: (module: string) => boolean): Complaint[] {
  return Object.entries(isMapping(hub.routes) ? hub.routes : {}).flatMap(([name, route]) => {
    const at = `$edgeHub.routes.${name}`;
    const text = isMapping(route) ? route.route : route;
    // The schema complains about others.
    if (typeof text !== 'string' || text === '') return [];
    const parts = ROUTE.exec(text.replace(/\s+/g, ' ').trim());
    if (!parts) {
      const remedy =
        'write FROM source INTO $upstream, or INTO BrokeredEndpoint("/modules/NAME/inputs/INPUT")';
      return [{ at, text: `${at} is not a route: ${remedy}` }];
    }
    const module = parts[1];
    return module === undefined || isKnown(module)
      ? []
      : [
          {
            at,
            text: `${at} leads to ${module}, which is not a module of $edgeAgent: name a module, or add it`,
          },
        ];
  });
}

const VARIABLES = [
  'CONNECTED_ACR_ROUTE_ADDRESS',
  'DOCKER_REQUEST_ROUTE_ADDRESS',
  'BLOB_UPLOAD_ROUTE_ADDRESS',
];

/** Without `isLayered`, all modules of the device are known. */
export function proxyRouteComplaints(modules: Module[], isLayered: boolean): Complaint[] {
  return modules.flatMap(({ at, env }) =>
    VARIABLES.flatMap((variable) => {
      const address = resolveVariable(env, variable);
      // The proxy reads 0 as not set.
      if (address === undefined || address === '' || address === '0') return [];
      const place = `${at}.env.${variable}`;
      const [, host = '', port = ''] = /^([A-Za-z0-9._-]+):(\d{1,5})$/.exec(address) ?? [];
      if (host === '') return [{ at: place, text: `${place} "${address}" is not valid: write MODULE:PORT` }];
      // A name with a dot is that of another machine.
      const module = modules.find(({ name }) => name.toLowerCase() === host.toLowerCase());
      if (!module)
        return host.includes('.') || isLayered
          ? []
          : [
              {
                at: place,
                text: `${place} names ${host}, which is not a module of $edgeAgent: name a module, or add it`,
              },
            ];
      const expected = isTerrace(module) ? listenPortOf(module) : port;
      return expected === port
        ? []
        : [
            {
              at: place,
              text: `${place} has the port ${port}, but ${module.name} listens on ${expected}: write ${host}:${expected}`,
            },
          ];
    }),
  );
}

/** The proxy resolves `${NAME}` once. */
function resolveVariable(env: Map<string, string>, name: string): string | undefined {
  const value = env.get(name);
  const other = /^\$\{(\w+)\}$/.exec(value ?? '')?.[1];
  return other === undefined ? value : env.get(other);
}
