import type { PassAccepted, Started } from '#proto/api/actions.ts';
import { refresh } from '../api/polled.ts';
import { RequestError, request } from '../api/request.ts';
import { confirm } from './dialog.tsx';
import { notify } from './notices.tsx';

/** What an operator may do. What takes something away, or uses the link a lot, is confirmed first. */

async function act<T>(path: string, method: 'POST' | 'DELETE', text: (answer: T) => string, body?: object) {
  try {
    const answer = await request<T>(method, path, body);
    notify('good', text(answer));
    refresh();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    notify('error', error.message);
  }
}

const sync = (full: boolean) =>
  act<PassAccepted>(
    '/sync',
    'POST',
    ({ pass }) => `${full ? 'Full pass' : 'Pass'} ${pass.slice(0, 8)} begins.`,
    {
      ...(full && { full }),
    },
  );

export const syncNow = (): void => void sync(false);

export function syncFull(): void {
  confirm({
    title: 'Full pass',
    text: 'Compares every selected repository with the parent again, also content that is known to agree, and retries parked changes. On a slow link this takes time; transfers continue.',
    action: 'Begin full pass',
    run: () => void sync(true),
  });
}

export const retryParked = (): void =>
  void act('/parked/retry', 'POST', () => 'Parked changes are retried with the next pass.', {});

export function pauseLink(): void {
  confirm({
    title: 'Pause the link',
    text: 'No pass and no transfer uses the link until somebody resumes it, also after a restart. Clients of this layer are served as before; what arrived is kept.',
    action: 'Pause the link',
    isDangerous: true,
    reason: 'Reason (others see it)',
    run: (reason) =>
      void act('/link/pause', 'POST', () => 'The link is paused.', { ...(reason && { reason }) }),
  });
}

export const resumeLink = (): void =>
  void act('/link/resume', 'POST', () => 'The link may be used again.', {});

export function collectGarbage(): void {
  confirm({
    title: 'Garbage collection',
    text: 'Deletes content that no tag and no manifest names. Content that a client asked for recently is kept.',
    action: 'Collect garbage',
    isDangerous: true,
    run: () => void act<Started>('/garbage-collection', 'POST', startedText('Garbage collection'), {}),
  });
}

export function scrub(): void {
  confirm({
    title: 'Scrub',
    text: 'Reads and hashes all committed content. Damaged content is moved to quarantine and requested from the parent again. It uses the disk for a while.',
    action: 'Begin scrub',
    run: () => void act<Started>('/scrub', 'POST', startedText('The scrub'), {}),
  });
}

export function deactivateChild(child: string): void {
  confirm({
    title: `Deactivate ${child}`,
    text: `The active instance of ${child} may not synchronize any more. The next instance that asks becomes active: use this when its machine was replaced.`,
    action: 'Deactivate',
    isDangerous: true,
    run: () =>
      void act(
        `/children/${encodeURIComponent(child)}/activation`,
        'DELETE',
        () => `${child} is deactivated.`,
      ),
  });
}

const startedText =
  (what: string) =>
  ({ started }: Started): string =>
    started ? `${what} runs; its end is an event.` : `${what} is running already.`;
