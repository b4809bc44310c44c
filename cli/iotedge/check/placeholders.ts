import { isMapping } from '#proto/contract/plain-data.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import type { Module } from './modules.ts';
import type { Fields } from './twins.ts';

/** Passwords that somebody still has to fill in. */

/** A name in angle brackets, a variable that a tool was to replace, and nothing but stars or dots. */
const isPlaceholder = (text: string) =>
  /^(?:<[^<>]*>|\$\{[^{}]*\}|\$[A-Za-z_]\w*|\{\{.*\}\}|[*.…x]+|(?:change-?me|password|todo))$/i.test(
    text.trim(),
  );

export function placeholderComplaints(agent: Fields, modules: Module[]): Complaint[] {
  const complaints: Complaint[] = [];
  const check = (at: string, value: unknown, what: string) => {
    if (typeof value === 'string' && isPlaceholder(value))
      complaints.push({ at, text: `${at}${what} is a placeholder: write the password there` });
  };
  const runtime = isMapping(agent.runtime) ? agent.runtime : {};
  const settings = isMapping(runtime.settings) ? runtime.settings : {};
  const logins = isMapping(settings.registryCredentials) ? settings.registryCredentials : {};
  for (const [name, login] of Object.entries(logins)) {
    const at = `$edgeAgent.runtime.settings.registryCredentials.${name}.password`;
    check(at, isMapping(login) && login.password, '');
  }
  for (const { at, env } of modules) {
    const connection = env.get('ACR_REGISTRY_CONNECTION_STRING') ?? '';
    const password = /(?:^|;)\s*SyncTokenPassword\s*=([^;]*)/.exec(connection)?.[1];
    check(`${at}.env.ACR_REGISTRY_CONNECTION_STRING`, password, ': SyncTokenPassword');
  }
  return complaints;
}
