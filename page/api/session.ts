import { computed, signal } from '@preact/signals';
import type { Session } from '#proto/api/session.ts';
import { reportAnswer } from './connection.ts';
import { get, RequestError, request } from './request.ts';

/** Who is logged in, and what they may do. */
export type SessionState =
  | { state: 'unknown' }
  | { state: 'none'; notice?: string }
  | { state: 'active'; session: Session };

export const session = signal<SessionState>({ state: 'unknown' });

/** Whether the caller may change something. */
export const mayWrite = computed(
  () => session.value.state === 'active' && session.value.session.may.includes('operate/write'),
);

/** Asks who the caller is. @throws RequestError if that has no answer: the session stays what it was */
export async function readSession(): Promise<void> {
  try {
    session.value = stateOf(await get<Session>('/session'));
    reportAnswer('/session');
  } catch (error) {
    reportAnswer('/session', error);
    if (!(error instanceof RequestError && error.isRefusal)) throw error;
    onUnauthorized();
  }
}

/** A login without the right to see the layer is none for the page; nor is an open layer that others reach. */
function stateOf(answer: Session): SessionState {
  const { name, may, open } = answer;
  if (may.includes('operate/read')) return { state: 'active', session: answer };
  return {
    state: 'none',
    notice: open
      ? 'This layer has no accounts, and other machines reach it: create a token with "terrace token create NAME --operate", and log in with it.'
      : `${name} may not see this layer: it lacks the right operate/read.`,
  };
}

/** @throws RequestError */
export async function logIn(name: string, password: string): Promise<void> {
  session.value = stateOf(await request<Session>('POST', '/session', { name, password }));
}

export async function logOut(): Promise<void> {
  const failed = await request('DELETE', '/session').then(
    () => undefined,
    (error: RequestError) => error,
  );
  session.value = {
    state: 'none',
    notice: failed
      ? `Logging out failed, so the session may still be open: ${failed.message} Load this page again, and log out again if it shows the layer.`
      : 'You are logged out.',
  };
}

/** A request was refused: the session has ended, or its account was disabled. */
export function onUnauthorized(): void {
  const { state } = session.peek();
  if (state === 'none') return;
  session.value = {
    state: 'none',
    ...(state === 'active' && { notice: 'The session has ended: log in again.' }),
  };
}
