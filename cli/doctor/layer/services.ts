import { serviceNames } from '#proto/contract/users.ts';
import { isLoopback } from '#proto/document/networks.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import { version } from '#proto/process/version.ts';
import { parseAddress } from '../../data/ports.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, haveFault, type Results, type Verdict, warning } from '../verdict/check.ts';

/**
 * The running layer as it reports itself: the problems of `terrace status` (proto/overview/problems/problems.ts), apart
 * from those that a check of its own examines again.
 */

/** Problems that other checks name, by code. */
const ELSEWHERE = new Set([
  'space-low',
  'configuration-refused',
  'nats-server-vulnerable',
  'selection-unmatched',
]);
/** A layer without accounts is open to those who reach it: no problem where these are programs of its machine. */
const LAYER_OPEN = 'layer-open';
/** Problems of the link, by code: for the check `sync`. */
const OF_LINK = new Set([
  'link-paused',
  'link-offline',
  'link-unhealthy',
  'push-denied',
  'changes-parked',
  'not-selected',
  'content-left-out',
]);
/** Problems of the link that a fault of the parent explains. */
const EXPLAINED = new Set(['link-offline', 'link-unhealthy', 'push-denied', 'changes-parked']);
/** Checks of the parent. */
export const PARENT_CHECKS = [
  'clock',
  'files',
  'parent-proxy',
  'parent-name',
  'parent-route',
  'parent-tls',
  'client-certificate',
  'parent-registry',
  'parent-login',
  'parent-rights',
  'selection',
  'parent-content',
];

export async function checkServices(subject: Subject): Promise<Verdict> {
  const { status, bus } = subject;
  if (status) return servicesVerdict(status, version());
  if (!bus) return { unchecked: withoutLayer(subject) };
  const what = 'the bus of the layer answers, and its services do not';
  return { about: '', findings: [fault(what, 'see data/log/terrace.log; restart the layer')] };
}

export async function checkSync(subject: Subject, _signal: AbortSignal, results: Results): Promise<Verdict> {
  const { status } = subject;
  if (!status) return { unchecked: withoutLayer(subject) };
  if (status.silent.includes('storage')) return { unchecked: 'storage does not answer' };
  return syncVerdict(status, haveFault(results, PARENT_CHECKS));
}

const withoutLayer = ({ bus, busFailure, holder }: Subject): string =>
  bus || busFailure !== undefined || holder !== undefined
    ? 'the layer does not answer'
    : 'no layer runs here';

/** @param own version of this command. Pure. */
export function servicesVerdict(status: LayerStatus, own: string): Verdict {
  const { listen } = status.configuration ?? {};
  const isLocal = listen !== undefined && isLoopback(parseAddress(listen).host);
  const findings = problemsOf(status)
    .filter(({ code }) => !ELSEWHERE.has(code) && !OF_LINK.has(code) && !(isLocal && code === LAYER_OPEN))
    .map(toFinding);
  const others = [...new Set(status.services.flatMap((one) => one.version ?? []))].filter(
    (one) => one !== own,
  );
  if (others.length > 0) {
    const what = `services of the layer have version ${others.join(', ')}, this command has ${own}`;
    findings.push(warning(what, 'restart the layer, or use the command of its version'));
  }
  const answered = serviceNames.filter((name) => status.services.some(({ service }) => service === name));
  return { about: `${answered.join(', ')} of version ${own}`, findings };
}

/** @param isExplained another check found a fault that keeps the link from working. Pure. */
export function syncVerdict(status: LayerStatus, isExplained: boolean): Verdict {
  const { link, sync, configuration, storage } = status;
  if (configuration && !configuration.parent) return { unchecked: 'the layer has no parent' };
  const findings = problemsOf(status)
    .filter(({ code }) => OF_LINK.has(code) && !(isExplained && EXPLAINED.has(code)))
    .map(toFinding);
  const failed = sync?.behind.failed ?? 0;
  if (failed > 0 && !isExplained && findings.length === 0) {
    const what = `${failed} tags can't be fetched from the parent`;
    findings.push(warning(what, 'see terrace status, and the reason of each in terrace events --type image'));
  }
  if (storage?.uncompared && !isExplained && findings.length === 0) {
    const what = `${storage.uncompared} repositories could not be compared with the parent`;
    findings.push(warning(what, 'see terrace status; terrace sync --full tries again'));
  }
  return {
    about: link ? `link ${link.state}${sync ? `, ${sync.state}` : ''}` : 'no pass has run yet',
    findings,
  };
}

type Reported = ReturnType<typeof problemsOf>[number];

const toFinding = ({ severity, what, remedy }: Reported): Finding =>
  severity === 'error' ? fault(what, remedy) : warning(what, remedy);
