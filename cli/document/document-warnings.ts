import { nearWords } from '#proto/contract/near-words.ts';
import { isMapping } from '#proto/contract/plain-data.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { Document } from '#proto/document/document.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { readNotificationPattern } from '#proto/document/notification-patterns.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { parseAddress } from '../data/ports.ts';

/** What is valid in a document, and certainly wrong. Pure. */

/** Which permissions a file has; undefined if it can't be read. */
export type FileModes = (path: string) => number | undefined;

/** `message` follows the field in a sentence. */
export type Warning = { field: string; message: string };

export type WarningInput = {
  document: Document;
  configuration: Configuration;
  accounts: readonly DeclaredAccount[];
  modeOf: FileModes;
  now: number;
};

export function warningsOf(input: WarningInput): Warning[] {
  return [
    secretFiles(input),
    ownAddress(input),
    plainPassword(input),
    accountless(input),
    doubles(input),
    platforms(input),
    unmatched(input),
    expired(input),
  ].flat();
}

const SECRET_FILES = new Set(['passwordFile', 'keyFile', 'clientSecretFile', 'secretFile']);
/** Others than the owner and the group of a file may read it. */
const OTHERS_READ = 0o004;

function secretFiles({ document, modeOf }: WarningInput): Warning[] {
  return [...namedFiles(document)].flatMap(([field, path]) => {
    const mode = modeOf(path);
    if (mode === undefined || (mode & OTHERS_READ) === 0) return [];
    return [{ field, message: `${path} can be read by every user of this machine: run chmod o-r ${path}` }];
  });
}

/** Files with secrets, by the fields that name them. */
function* namedFiles(value: unknown, path = ''): Generator<[field: string, file: string]> {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    const field = path ? `${path}.${name}` : name;
    if (SECRET_FILES.has(name) && typeof inner === 'string') yield [field, inner];
    else yield* namedFiles(inner, field);
  }
}

function ownAddress({ document, configuration }: WarningInput): Warning[] {
  const { parent } = document;
  if (parent?.url === undefined || !URL.canParse(parent.url)) return [];
  const { hostname, port, protocol } = new URL(parent.url);
  const own = parseAddress(configuration.listen);
  const isHere = isLoopback(hostname.replace(/^\[|\]$/g, ''));
  const isSame = isHere && Number(port || (protocol === 'https:' ? 443 : 80)) === own.port;
  return isSame
    ? [{ field: 'parent.url', message: `is the address of this layer (listen): name the registry above it` }]
    : [];
}

function plainPassword({ document: { parent } }: WarningInput): Warning[] {
  if (!parent?.passwordFile || parent.url === undefined || !URL.canParse(parent.url)) return [];
  const { protocol, hostname } = new URL(parent.url);
  if (protocol !== 'http:' || isLoopback(hostname.replace(/^\[|\]$/g, ''))) return [];
  return [
    {
      field: 'parent.url',
      message: 'sends the password unencrypted over the network: use https, with caFile',
    },
  ];
}

function accountless({ document, configuration, accounts }: WarningInput): Warning[] {
  if (document.listen === undefined || accounts.length > 0) return [];
  if (isLoopback(parseAddress(configuration.listen).host)) return [];
  return [
    {
      field: 'listen',
      message: `${configuration.listen} accepts other machines, and the document has no tokens: create one before the first start ("terrace token create"), or declare it`,
    },
  ];
}

function doubles({ document: { repositories = [] } }: WarningInput): Warning[] {
  const seen = new Map<string, number>();
  return repositories.flatMap((one, at) => {
    const name = typeof one === 'string' ? one : `${one.as ?? one.name} ${one.from ?? ''}`.trim();
    const first = seen.get(name);
    if (first === undefined) seen.set(name, at);
    return first === undefined
      ? []
      : [{ field: `repositories.${at}`, message: `is the same as repositories.${first}: remove it` }];
  });
}

/** Values of GOOS and GOARCH for which images exist. */
const SYSTEMS = ['linux', 'windows', 'darwin', 'freebsd', 'wasip1', 'js', 'unknown'];
const ARCHITECTURES = [
  ...[
    'amd64',
    'arm64',
    'arm',
    '386',
    'ppc64le',
    's390x',
    'riscv64',
    'loong64',
    'mips64le',
    'mips64',
    'mipsle',
  ],
  ...['mips', 'ppc64', 'wasm', 'unknown'],
];

function platforms({ document: { repositories = [] } }: WarningInput): Warning[] {
  return repositories.flatMap((one, at) =>
    typeof one === 'string'
      ? []
      : (one.platforms ?? []).flatMap((platform, index) => {
          const [system = '', architecture = '', ...variant] = platform.split('/');
          const isKnown = SYSTEMS.includes(system) && ARCHITECTURES.includes(architecture);
          if (isKnown) return [];
          const near = [
            nearOf(system, SYSTEMS, { macos: 'darwin' }),
            nearOf(architecture, ARCHITECTURES, aliases),
            ...variant,
          ];
          const remedy = near.includes('')
            ? 'write one such as linux/arm64'
            : `did you mean ${near.join('/')}?`;
          return [
            {
              field: `repositories.${at}.platforms.${index}`,
              message: `${JSON.stringify(platform)} is no platform of images: ${remedy}`,
            },
          ];
        }),
  );
}

/** Names of the same processor that other tools use. */
const aliases: Record<string, string> = {
  x86_64: 'amd64',
  x64: 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  armv7: 'arm',
  i386: '386',
  x86: '386',
};

const nearOf = (word: string, known: string[], others: Record<string, string>): string =>
  known.includes(word) ? word : (others[word] ?? nearWords(word, known, 1)[0] ?? '');

/** A layer to which nobody pushes has only what it synchronizes: other patterns match nothing. */
function unmatched({ document, configuration }: WarningInput): Warning[] {
  const { repositories, anonymousPull = [], children = [], tokens = [], notifications = {} } = document;
  if (configuration.mode !== 'ReadOnly' || !configuration.parent || !repositories) return [];
  const held = repositories.map((one) => (typeof one === 'string' ? one : (one.as ?? one.name ?? '')));
  const isHeld = (pattern: string) =>
    held.some((one) => matchesPattern([one], pattern) || matchesPattern([pattern], one));
  const check = (field: string, pattern: string, name = pattern): Warning[] =>
    isHeld(name)
      ? []
      : [
          {
            field,
            message: `${JSON.stringify(pattern)} matches no repository of this layer, which has only those of repositories: select them there, or remove it`,
          },
        ];
  const rights = (field: string, patterns: string | readonly string[] | undefined): Warning[] =>
    typeof patterns === 'string'
      ? check(field, patterns)
      : (patterns ?? []).flatMap((pattern, at) => check(`${field}.${at}`, pattern));
  const events = (field: string, patterns: readonly string[] = []): Warning[] =>
    patterns.flatMap((text, at) => check(`${field}.${at}`, text, readNotificationPattern(text)?.name ?? '*'));
  return [
    anonymousPull.flatMap((pattern, at) => check(`anonymousPull.${at}`, pattern)),
    children.flatMap((one, at) => rights(`children.${at}.repositories`, one.repositories)),
    tokens.flatMap((one, at) => rights(`tokens.${at}.pull`, one.pull)),
    events('notifications.parent', notifications.parent),
    (notifications.webhooks ?? []).flatMap((one, at) =>
      events(`notifications.webhooks.${at}.match`, one.match),
    ),
  ].flat();
}

function expired({ document, now }: WarningInput): Warning[] {
  return (['tokens', 'children'] as const).flatMap((list) =>
    (document[list] ?? []).flatMap((account, at) =>
      account.passwords.flatMap((password, index) => {
        const until = isMapping(password) ? password.expires : undefined;
        if (typeof until !== 'string' || Date.parse(until) > now) return [];
        const field = `${list}.${at}.passwords.${index}.expires`;
        return [{ field, message: `${until} is over: replace the password, or remove it` }];
      }),
    ),
  );
}
