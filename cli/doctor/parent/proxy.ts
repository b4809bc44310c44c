import { proxyBypass } from '#proto/http/no-proxy.ts';
import { noProxyList, type ProxyEnvironment, proxyOf } from '#proto/http/proxy-environment.ts';
import { fault, type Verdict } from '../verdict/check.ts';
import { codeOf, hostOf, portOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import { openTunnel, ParentHttp } from './parent-http.ts';

/** Whether the environment names a proxy for the parent, and whether that one opens tunnels to it. */

/** Which proxy the environment names for a URL. Pure. */
export type ProxyChoice = { proxy?: URL; invalid?: string; byPassed?: boolean };

export function proxyFor(url: URL, variables: ProxyEnvironment): ProxyChoice {
  const named = proxyOf(url.protocol, variables);
  if (named === undefined) return {};
  if (proxyBypass(noProxyList(variables))(url)) return { byPassed: true };
  if (!URL.canParse(named) || !/^(?:https?|socks5?):$/.test(new URL(named).protocol))
    return { invalid: withoutLogin(named) };
  return { proxy: new URL(named) };
}

const withoutLogin = (text: string): string => text.replace(/\/\/[^/@]*@/, '//');

/** What came of the attempt to open a tunnel; without TLS, to forward a request. */
export type TunnelSeen = { status: number } | { error: string };

/** Statuses of a proxy that can't reach the host of a request. */
const NOT_REACHED = [502, 503, 504];

export async function checkProxy(
  { url, proxies }: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const choice = proxyFor(url, proxies);
  if (!choice.proxy) return proxyVerdict(url, choice);
  if (choice.proxy.protocol.startsWith('socks')) return { unchecked: 'a SOCKS proxy is not examined' };
  facts.proxy = choice.proxy;
  const seen = await tunnelSeen(choice.proxy, url, signal);
  return proxyVerdict(url, choice, seen);
}

async function tunnelSeen(proxy: URL, url: URL, signal: AbortSignal): Promise<TunnelSeen> {
  try {
    if (url.protocol === 'http:') {
      // Requests without TLS are forwarded one by one: the status of the parent is for a check of its own.
      await using http = await ParentHttp.open(url, { proxy });
      const { status } = await http.request('/v2/', { signal });
      return { status: status === 407 || NOT_REACHED.includes(status) ? status : 200 };
    }
    const { status, socket } = await openTunnel(proxy, url, signal);
    socket?.destroy();
    return { status };
  } catch (error) {
    signal.throwIfAborted();
    return { error: codeOf(error) };
  }
}

/** Pure. */
export function proxyVerdict(
  url: URL,
  { proxy, invalid, byPassed }: ProxyChoice,
  seen?: TunnelSeen,
): Verdict {
  if (invalid !== undefined) {
    const what = `the proxy of the environment, ${invalid}, is not an HTTP or HTTPS address`;
    return { about: '', findings: [fault(what, 'write HTTPS_PROXY as http://host:port')] };
  }
  if (!proxy || !seen) {
    return { about: byPassed ? 'none for this parent (NO_PROXY)' : 'none' };
  }
  const name = `${proxy.protocol}//${proxy.host}`;
  const target = `${hostOf(url)}:${portOf(url)}`;
  if ('error' in seen) {
    const what = `the proxy ${name} does not answer (${seen.error})`;
    return { about: name, findings: [fault(what, `correct HTTPS_PROXY, or add ${hostOf(url)} to NO_PROXY`)] };
  }
  if (seen.status === 407) {
    const what = `the proxy ${name} asks for a login`;
    return { about: name, findings: [fault(what, 'write HTTPS_PROXY as http://user:password@host:port')] };
  }
  if (seen.status !== 200 && url.protocol === 'http:') {
    const what = `the proxy ${name} does not reach ${target} (${seen.status})`;
    return {
      about: name,
      findings: [fault(what, `open the way from the proxy, or add ${hostOf(url)} to NO_PROXY`)],
    };
  }
  if (seen.status !== 200) {
    const what = `the proxy ${name} refuses a tunnel to ${target} (${seen.status})`;
    const remedy = `let the proxy permit CONNECT to ${target}, or add ${hostOf(url)} to NO_PROXY`;
    return { about: name, findings: [fault(what, remedy)] };
  }
  return {
    about: `${name} ${url.protocol === 'http:' ? 'forwards requests' : 'opens a tunnel'} to ${target}`,
  };
}
