import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Event, Job, Request, State } from '#proto/contract/contract.ts';
import { onStates } from '#proto/jetstream/store-requests.ts';

/** Every message that `proto/` declares, found among the exports of its files. */

type Declared = { requests: Request[]; jobs: Job[]; events: Event[]; states: State[] };

const folder = join(import.meta.dirname, '../../proto');

export async function declaredMessages(): Promise<Declared> {
  const found: Declared = { requests: [], jobs: [], events: [], states: [] };
  for (const file of await readdir(folder, { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    const module: Record<string, unknown> = await import(join(folder, file));
    for (const value of Object.values(module).flatMap(parts)) {
      const { kind } = value as { kind?: string };
      if (kind === 'request') found.requests.push(value as Request);
      if (kind === 'job') found.jobs.push(value as Job);
      if (kind === 'event') found.events.push(value as Event);
      if (kind === 'state') found.states.push(value as State);
    }
  }
  found.requests.push(...Object.values(onStates).flatMap((bucket) => Object.values(bucket)));
  return found;
}

/** An export may be an object of several declarations. */
const parts = (value: unknown): object[] =>
  typeof value !== 'object' || value === null
    ? []
    : 'kind' in value
      ? [value]
      : Object.values(value).filter(isObject);

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
