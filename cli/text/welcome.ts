import { resolve } from 'node:path';
import type { Configuration } from '#proto/document/configuration.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { dataFolder } from '../data/data-folder.ts';
import { dataArguments } from '../data/data-option.ts';
import { COMMAND } from '../data/node.ts';
import { parseAddress, urlOf } from '../data/ports.ts';
import { plural } from '../terminal/figures.ts';
import { wrapLines } from '../terminal/layout.ts';
import { insecureFlag, loginCommand, registryOf } from './token-text.ts';

export type Greeting = {
  /** As typed on the command line. */
  data: string;
  configuration: Configuration;
  tokens: number;
  /** Its accounts may have been lost: nobody can log in until a token is created. */
  closed?: boolean | undefined;
  /** Without a token, everyone has full access; absent if the gateway has not reported it. */
  open?: boolean | undefined;
  /** Duration of the start, in ms. */
  ms: number;
};

const PLAIN =
  'No TLS: passwords cross the network unencrypted, unless a proxy in front adds TLS (--tls-certificate, --tls-key).';

const ACCOUNTS_LOST =
  'The accounts of this layer were lost: all clients are rejected until a token is created (terrace token create)';

/** For a layer without tokens. */
export function noAccounts({ closed, open }: Pick<Greeting, 'closed' | 'open'>): string {
  if (closed) return ACCOUNTS_LOST;
  if (open === undefined) return 'No accounts; the gateway has not reported whom it admits';
  return open
    ? 'No accounts: everyone who reaches the layer has full access'
    : 'No accounts yet: all clients are rejected until a token is created (terrace token create) or declared';
}

/**
 * The text for a layer that serves: its address, its accounts, and the commands to type next.
 * @param width to which sentences are wrapped; commands are not, so that they can be copied
 */
export function welcome(greeting: Greeting, width?: number): string {
  const { data, configuration, tokens, closed, open: admitsAll, ms } = greeting;
  const sentence = (text: string) => (width === undefined ? text : wrapLines(text, width));
  const { name, listen, tls, mode, parent, repositories } = configuration;
  const image = mode === 'ReadWrite' ? exampleOf(configuration) : 'NAME:TAG';
  const plain = insecureFlag(configuration);
  const registry = registryOf(configuration);
  const end = dataArguments(data);
  const rows = [
    ...(tokens > 0 ? [['login', loginCommand('TOKEN', configuration)]] : []),
    ...(mode === 'ReadWrite' ? [['push', `podman push${plain} IMAGE ${registry}/${image}`]] : []),
    ['pull', `podman pull${plain} ${registry}/${image}`],
    ['page', pageOf(configuration)],
    ['status', `${COMMAND} status${end}`],
    ...(parent ? [['sync', `${COMMAND} sync${end}`]] : []),
    ...(tokens > 0 ? [] : [['token', `${COMMAND} token create NAME --push '*'${end}`]]),
    ['log', dataFolder(resolve(data)).log],
  ];
  const source = parent
    ? `, from ${parent.url}: ${repositories.map(({ name: one }) => one).join(', ') || 'no repositories'}`
    : '';
  const accounts =
    tokens > 0
      ? `Clients log in: ${plural(tokens, 'token')}.`
      : `${noAccounts({ closed, open: admitsAll })}.${admitsAll && !closed ? ' The first token ends that.' : ''}`;
  const open = !tls && !isLoopback(parseAddress(listen).host);
  return [
    sentence(
      `Terrace serves layer "${name}" at ${urlOf(configuration)} (${mode}${source}); started in ${(ms / 1000).toFixed(1)} s.`,
    ),
    sentence(accounts),
    ...(open ? [sentence(PLAIN)] : []),
    ...rows.map(([what, command]) => `  ${what?.padEnd(7)} ${command}`),
    'Ctrl-C stops it.',
  ].join('\n');
}

/** Where the page of the layer is: at the operators' listener, if there is one. */
const pageOf = ({ operate, ...configuration }: Configuration): string =>
  `${urlOf({ ...configuration, ...(operate?.listen && { listen: operate.listen }) })}/`;

/** An example image name; with a parent, a name whose push also goes up, as a selection covers it. */
function exampleOf({ parent, repositories }: Configuration): string {
  const patterns = parent ? repositories.map(({ name }) => name) : [];
  const [first] = patterns;
  if (first === undefined || patterns.includes('*')) return 'hello:1';
  return first.endsWith('/*') ? `${first.slice(0, -1)}hello:1` : `${first}:1`;
}
