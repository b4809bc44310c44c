import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Version of Terrace, as the running files have it. */
export function version(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
