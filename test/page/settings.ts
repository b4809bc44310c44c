import type { Accounts } from '#proto/api/accounts.ts';
import type { ConfigurationAnswer } from '#proto/api/configuration.ts';

/** Answers of the API about accounts and settings, for `days.ts`. */

const HOUR = 3_600_000;

export function accounts(now: number): Accounts {
  const password = { name: 'password1' as const, created: now - 90 * 24 * HOUR };
  const token = { enabled: true, created: now - 90 * 24 * HOUR, passwords: [password] };
  return {
    tokens: [
      { ...token, name: 'operator', scopeMap: '_operate' },
      {
        ...token,
        name: 'packaging',
        scopeMap: 'child-packaging',
        passwords: [{ ...password, expires: now + 40 * 24 * HOUR }],
      },
      { ...token, name: 'wall', scopeMap: '_operate_read', declared: true },
      { ...token, name: 'old-ci', scopeMap: '_repositories_push', enabled: false },
    ],
    scopeMaps: [
      { name: '_operate', actions: ['operate/read', 'operate/write'], system: true },
      {
        name: 'child-packaging',
        actions: [
          'repositories/*/content/read',
          'gateway/packaging/config/write',
          'gateway/packaging/message/write',
        ],
        system: false,
      },
    ],
    children: [
      {
        name: 'packaging',
        instance: '7b0c6f1e-1d0e-4c55-9d8c-2f6a0a1f8f21',
        since: now - 60 * 24 * HOUR,
        seen: now - 9_000,
        address: '10.3.1.20',
      },
    ],
    more: false,
  };
}

export const configuration = (): ConfigurationAnswer => ({
  fields: [
    { field: 'name', value: 'line-3', source: 'file', atStart: true },
    { field: 'parent.url', value: 'https://site.example.com', source: 'file', atStart: false },
    { field: 'repositories', value: [{ name: 'line/*' }], source: 'file', atStart: false },
    { field: 'bandwidth', value: '32Mbit', source: 'command line', atStart: false },
    { field: 'schedule', value: '* * * * *', source: 'default', atStart: false },
    { field: 'loginServer', source: 'default', atStart: false },
  ],
  complaints: [],
  source: '/etc/terrace/line-3.yaml',
  known: true,
});
