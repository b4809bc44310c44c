import type { FastifyInstance } from 'fastify';
import { routes } from '../../services/gateway/app.ts';
import type { Gateway } from '../../services/gateway/routes/resource.ts';
import { code, page, table } from './markdown.ts';

/** docs/reference/http.md */

type Route = {
  method: string;
  url: string;
  config: { needs?: string; spec?: string; answer?: string };
};

/** Routes that the gateway registers, on stand-ins for the server and for everything that the routes need. */
function registered(): Route[] {
  const found: Route[] = [];
  const app = { route: (route: Route) => found.push(route), addHook() {} };
  const nothing = () => undefined;
  const bus = new Proxy({}, { get: () => nothing });
  const gateway = new Proxy(
    { bus, log: bus, times: {} },
    { get: (target, name) => Reflect.get(target, name) ?? {} },
  );
  for (const register of routes) {
    register(app as unknown as FastifyInstance, gateway as unknown as Gateway);
  }
  return found.filter(({ config }) => config.answer);
}

const pathOf = (url: string): string => url.replace(/:(\w+)/g, '<$1>');

/** One row per path, need and answer, with all methods that share them. */
function rowsOf(some: Route[]): string[][] {
  const rows = new Map<string, { methods: string[]; route: Route }>();
  for (const route of some) {
    const { needs = '', answer = '' } = route.config;
    const key = [route.url, needs, answer].join('\n');
    const row = rows.get(key);
    if (row) row.methods.push(route.method);
    else rows.set(key, { methods: [route.method], route });
  }
  return [...rows.values()].map(({ methods, route: { url, config } }) => [
    code(pathOf(url)),
    methods.join(', '),
    config.needs ?? '',
    ...(config.spec ? [config.spec] : []),
    config.answer ?? '',
  ]);
}

const NEEDS = [
  ['nothing', 'No login.'],
  ['login', 'A valid login, or a layer without accounts.'],
  [
    'catalog',
    'A valid login; a Bearer token needs the scope `registry:catalog:*`. Only what the account may see is listed.',
  ],
  [
    'content/read, …',
    'This action on the repository of the path: `repositories/<pattern>/content/read` in a scope map.',
  ],
  [
    'operate/read, operate/write',
    'This action in a scope map: [operators](../guides/accounts.md#operators).',
  ],
  ['config/write, message/write', 'This action on the child of the path: `gateway/<child>/config/write`.'],
];

export function httpPage(): string {
  const all = registered();
  const isOwn = ({ url }: Route) => url.startsWith('/v2/_terrace/');
  const isOperators = ({ url }: Route) => url.startsWith('/api/');
  const specified = all.filter(({ config }) => config.spec);
  const isPage = ({ url }: Route) => url === '/' || /^\/ui\b/.test(url);
  const others = all.filter(
    (route) => !route.config.spec && !isOwn(route) && !isPage(route) && !isOperators(route),
  );
  return page(
    'HTTP',
    'For integrators: every path of the gateway, what a request needs, and what it answers.',
    'Names in `<…>` are parts of the path; a repository name may have several segments. Every other method of a path gets 405. A refusal is answered with the status and the error code of its [fault](faults.md). In a ReadOnly layer, every write of content gets 403 (`DENIED`). Without a valid login, a request that needs one gets 401 and a challenge.',
    table(['Needs', 'Meaning'], NEEDS),
    '## Distribution API',
    'Endpoints of the OCI distribution specification, with their numbers there. Descriptions of their headers and bodies are in the specification.',
    table(['Path', 'Methods', 'Needs', 'Endpoints', 'Answer'], rowsOf(specified)),
    '## Login, catalog and health',
    "Docker's token protocol (also at the paths of Azure Container Registry), docker-registry's catalog, and the health check.",
    table(['Path', 'Methods', 'Needs', 'Answer'], rowsOf(others)),
    '## Page',
    'The [page](../operating/page.md) of the layer, as static files. Its data come from the API.',
    table(['Path', 'Methods', 'Needs', 'Answer'], rowsOf(all.filter(isPage))),
    '## Between layers',
    'Only Terrace speaks these, below `/v2/_terrace/`: no repository can have this name, and every proxy that forwards `/v2/` forwards them. Bodies are JSON. A layer below uses the parent as any registry where the parent does not have them.',
    table(['Path', 'Methods', 'Needs', 'Answer'], rowsOf(all.filter(isOwn))),
    "## Operators' API",
    'For people, programs and the page: JSON below `/api/v1`. The layer serves the document of it (OpenAPI 3.1, with all fields, parameters and statuses) at `/api/v1/openapi.json`. Lists are answered as `{ items, next }`: `?after=<next>` reads on, `?limit=` sets the number of entries. Unknown parameters and fields of a body are refused. Instants are milliseconds since 1970-01-01 UTC, sizes bytes.',
    table(['Path', 'Methods', 'Needs', 'What it is'], rowsOf(all.filter(isOperators))),
  );
}
