import { clip } from '#proto/contract/clip.ts';
import type { FaultCode } from '#proto/contract/fault.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import { CONTENT_LEFT_OUT, type LinkStatus, PAUSED, WINDOW_CLOSED } from '#proto/status/status.ts';
import type { DesiredState, LayerView } from './layer-view.ts';

/** A problem of the layer, in the form of the connected registry's `statusDetails`. Pure. */
export type Detail = { type: string; code: string; description: string };

const MAX_ACCOUNTS = 3;
/** Code of the detail of a layer that is online and lacks content that its parent does not provide. */
export const LEFT_OUT = 'ContentLeftOut';
const ACTIVATED_ELSEWHERE: FaultCode = 'already-activated';

export function detailsOf(
  { link, storage, configuration, syncers, history, unreadable }: LayerView,
  desired: DesiredState,
): Detail[] {
  const details: Detail[] = [];
  const add = (type: string, code: string, description: string) =>
    details.push({ type, code, description: brief(description) });
  if (!storage) add('Service', 'StorageSilent', 'storage does not answer: see its log');
  if (syncers?.length === 0) add('Service', 'SyncerSilent', 'no syncer answers: see its log');
  if (storage?.space.low) {
    add(
      'Disk',
      'DiskError',
      'No space left on device: no new content is accepted until space is freed on the data volume',
    );
  }
  if (storage && storage.damaged > 0) {
    add(
      'Content',
      'ContentDamaged',
      `${plural(storage.damaged, 'blob is damaged until it is', 'blobs are damaged until they are')} fetched from the parent or pushed again`,
    );
  }
  if (link?.detail && isInactive(link)) add('Activation', 'ALREADY_ACTIVATED', link.detail);
  else if (link?.detail && link.state === 'Unhealthy') add('Sync', 'SyncIncomplete', link.detail);
  else if (link?.detail && link.code === CONTENT_LEFT_OUT) add('Sync', LEFT_OUT, link.detail);
  else if (link?.detail && link.code === PAUSED) add('Sync', 'LinkPaused', link.detail);
  else if (link?.detail && link.state === 'Offline' && link.code !== WINDOW_CLOSED)
    add('Sync', 'ParentOffline', link.detail);
  if (storage && configuration?.mode === 'ReadWrite' && storage.outgoing.parked > 0) {
    add(
      'Sync',
      'ChangesRefused',
      `the parent refused ${plural(storage.outgoing.parked, 'change; it is', 'changes; they are')} retried`,
    );
  }
  if (history) {
    const { count, last } = history;
    add(
      'Sync',
      'HistoryRefused',
      `the parent refused ${plural(count, 'event')} of the history: ${last.reason}`,
    );
  }
  const [damaged] = unreadable;
  if (damaged) {
    const { bucket, key, reason } = damaged;
    const more = unreadable.length > 1 ? ` (and ${unreadable.length - 1} more)` : '';
    add('Service', 'StateUnreadable', `the state ${bucket}.${key} can't be read${more}: ${reason}`);
  }
  if (desired.state === 'refused') {
    add('Configuration', 'DesiredRefused', 'the desired properties are not valid: see desired.complaints');
  }
  const accounts = storage?.accounts ?? [];
  for (const complaint of accounts.slice(0, MAX_ACCOUNTS)) add('Accounts', 'AccountNotAsDeclared', complaint);
  return details;
}

/** Whether another instance is activated at the parent in place of this one. */
export const isInactive = (link: LinkStatus | undefined): boolean => link?.code === ACTIVATED_ELSEWHERE;

export const brief = (text: string, max = 300): string => clip(text, max);
