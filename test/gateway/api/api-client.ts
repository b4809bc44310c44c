import { deepEqual, ok } from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { GatewayRig } from '../gateway-rig.ts';

/** Sends requests to the API, and holds each answer to the document of the API: no unknown field, no other status. */

type Document = {
  paths: Record<
    string,
    Record<string, { 'x-needs': string; responses: Record<string, { content: Record<string, unknown> }> }>
  >;
};
type Answer = { status: number; body: never; headers: Headers };

export class ApiClient {
  readonly #layer: GatewayRig;
  readonly #document: Document;
  readonly #ajv: Ajv2020;
  readonly #headers: Record<string, string>;
  /** Operations that were answered, and with which statuses. */
  readonly met: Set<string>;

  static async of(layer: GatewayRig, headers: Record<string, string> = {}): Promise<ApiClient> {
    const response = await layer.fetch('GET', '/api/v1/openapi.json', { headers });
    const document = (await response.json()) as Document;
    const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
    ajv.addSchema(strict(document) as object, 'api');
    return new ApiClient(layer, document, ajv, headers, new Set());
  }

  private constructor(
    layer: GatewayRig,
    document: Document,
    ajv: Ajv2020,
    headers: Record<string, string>,
    met: Set<string>,
  ) {
    this.#layer = layer;
    this.#document = document;
    this.#ajv = ajv;
    this.#headers = headers;
    this.met = met;
  }

  /** The same document and record, with other headers. */
  as(headers: Record<string, string>): ApiClient {
    return new ApiClient(this.#layer, this.#document, this.#ajv, headers, this.met);
  }

  get operations(): string[] {
    return Object.entries(this.#document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
  }

  /** Each operation with the right that it needs. */
  get needs(): [operation: string, needs: string][] {
    return Object.entries(this.#document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, one]): [string, string] => [
        `${method.toUpperCase()} ${path}`,
        one['x-needs'],
      ]),
    );
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  async send(
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const response = await this.#layer.fetch(method, `/api/v1${path}`, {
      headers: {
        ...this.#headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = text === '' ? undefined : JSON.parse(text);
    this.check(method, path, response.status, answer);
    return { status: response.status, body: answer as never, headers: response.headers };
  }

  /** Whether the document has this answer. */
  check(method: string, path: string, status: number, answer: unknown): void {
    const template = this.#templateOf(method, path);
    if (status === 405) return;
    ok(template, `the document has ${method} ${path}`);
    const where = `api#/paths/${template.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D')}/${method.toLowerCase()}/responses`;
    const { responses } = this.#document.paths[template]![method.toLowerCase()]!;
    ok(
      responses[status],
      `${method} ${template} may answer ${status}: ${JSON.stringify(answer)?.slice(0, 300)}`,
    );
    const validate = this.#ajv.getSchema(`${where}/${status}/content/application~1json/schema`);
    ok(validate, `${method} ${template} has a schema for ${status}`);
    validate(answer);
    deepEqual(
      validate.errors ?? [],
      [],
      `${method} ${path} ${status}: ${JSON.stringify(answer)?.slice(0, 500)}`,
    );
    this.met.add(`${method} ${template} ${status}`);
  }

  #templateOf(method: string, path: string): string | undefined {
    const [plain = ''] = path.split('?', 1);
    const fits = (template: string) => {
      const pattern = template
        .replaceAll('.', '\\.')
        .replace(/\{name\}/g, '(?:[^/]+|.+)')
        .replace(/\{\w+\}/g, '[^/]+');
      return new RegExp(`^${pattern}$`).test(`/api/v1${plain}`);
    };
    const all = Object.keys(this.#document.paths).filter((template) => {
      return this.#document.paths[template]![method.toLowerCase()] && fits(template);
    });
    // The longest one: a name in a path may contain what looks like the end of another one.
    return all.sort((a, b) => b.length - a.length)[0];
  }
}

/** The same schemas, in which no object has fields that are not declared. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, strict(inner)] as const);
  const schema = Object.fromEntries(entries);
  const isObject = schema.type === 'object' && typeof schema.properties === 'object';
  return isObject && !('additionalProperties' in schema)
    ? { ...schema, additionalProperties: false }
    : schema;
}
