import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import { describeReplay } from '../../../cli/commands/observe/replay.ts';
import { describeChildren } from '../../../cli/text/child-text.ts';
import { emptyReplay, type ReplayedTransfer } from '../../../cli/text/replay-state.ts';
import { describeScopeMaps, describeTokens } from '../../../cli/text/token-text.ts';

/** The tables of the commands with the longest values that they may have, in the widths of terminals. */

const now = Date.UTC(2030, 0, 2);
const name = `plant-7.${'x'.repeat(56)}`;
const digest = `sha256:${'ab'.repeat(32)}`;
const password = { created: now, expires: now + 1 };

const token: Token = {
  name,
  scopeMap: name,
  enabled: true,
  created: now,
  passwords: [
    { name: 'password1', ...password },
    { name: 'password2', ...password },
  ],
};
const scopeMap: ScopeMap = {
  name,
  actions: ['repositories/*/content/read'],
  description: 'what the presses of line 7 pull, and nothing else than that '.repeat(3),
  system: false,
};
const child = {
  name,
  mode: 'ReadOnly' as const,
  repositories: Array.from({ length: 20 }, (_, index) => `plant/line-${index}/*`),
  enabled: false,
  since: now,
  seen: now,
  address: '2001:db8:1234:5678:9abc:def0:1234:5678',
};
const transfer: ReplayedTransfer = {
  direction: 'down',
  repository: `plant/${'line/'.repeat(20)}press`,
  digest,
  size: 2e9,
  state: 'waiting',
  done: 1e9,
  syncer: 'syncer-a-machine-with-a-long-name-1211-9f03ac',
  time: '2030-01-02T00:00:00.000Z',
  sequence: 7,
  until: now + 60_000,
  reason:
    'https://registry.example/v2/: no answer within 30 s, the next attempt waits 60 s (parent-unreachable)',
};
const replay = { ...emptyReplay(), transfers: new Map([['a', transfer]]), last: 12 };

const tables: Record<string, (width?: number) => string> = {
  'token list': (width) => describeTokens([token], now, width),
  'scope list': (width) => describeScopeMaps([scopeMap], width),
  'child list': (width) => describeChildren([child], now, width),
  replay: (width) => describeReplay(replay, now, width),
};

for (const [command, describe] of Object.entries(tables)) {
  for (const width of [60, 80, 120]) {
    test(`terrace ${command} fits ${width} columns, and nothing is lost`, () => {
      const text = describe(width);
      const widest = text.split('\n').reduce((max, line) => Math.max(max, line.length), 0);
      assert.ok(widest <= width, `${widest} columns:\n${text}`);
      const letters = (all: string) => [...all.replace(/\s/g, '')].sort().join('');
      assert.equal(letters(text), letters(describe()));
    });
  }
}
