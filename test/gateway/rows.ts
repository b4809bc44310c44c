import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { type GatewayRig, sha256 } from './gateway-rig.ts';

/** One request and its expected answer. `title` defaults to the method, the path and the status. */
export type Row = {
  title?: string;
  send: [method: string, path: string];
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  status: number;
  /** OCI error code. An answer of 400 or more must have one, in a body as the specification defines it. */
  code?: string;
  /** `null`: the header must be absent. */
  expectedHeaders?: Record<string, string | RegExp | null>;
  text?: string | Uint8Array;
};

export function rows(layer: () => GatewayRig, table: Row[]): void {
  for (const row of table) {
    const title =
      row.title ??
      `${row.send.join(' ').replace(/([0-9a-f]{6})[0-9a-f]{20,}/g, '$1…')} answers ${row.status}`;
    test(title.slice(0, 160), async () => void (await check(layer(), row)));
  }
}

export async function check(layer: GatewayRig, row: Row): Promise<Response> {
  const { send, headers, body, status, code, expectedHeaders = {}, text } = row;
  const response = await layer.fetch(...send, {
    ...(headers && { headers }),
    ...(body !== undefined && { body }),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const answer = new TextDecoder().decode(bytes.subarray(0, 2_000));
  equal(response.status, status, answer);
  for (const [name, value] of Object.entries(expectedHeaders)) {
    const actual = response.headers.get(name);
    if (value instanceof RegExp) match(actual ?? '', value, name);
    else equal(actual, value as string | null, name);
  }
  if (typeof text === 'string') equal(answer, text);
  else if (text) equal(sha256(bytes), sha256(text));
  if (status >= 400 && send[0] !== 'HEAD') errorBody(answer, code);
  if (send[0] === 'HEAD') equal(bytes.byteLength, 0);
  equal(response.headers.get('docker-distribution-api-version'), 'registry/2.0');
  return response;
}

export function errorBody(text: string, code?: string): void {
  const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] };
  equal(errors.length, 1);
  match(errors[0]!.code, /^[A-Z_]+$/);
  match(errors[0]!.message, /^[^\n]{5,400}$/);
  if (code) equal(errors[0]!.code, code);
}
