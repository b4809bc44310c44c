import { Login, Session } from '#proto/api/session.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { challengeFor } from '../../auth/challenge-header.ts';
import { passwordProof } from '../../auth/identity-proof.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';

/** Logins of people: a session begins, is shown, and ends. */
export function sessionOperations({ access }: Gateway): Operation[] {
  const { authentication } = access;
  return [
    operation({
      method: 'GET',
      path: '/session',
      needs: 'login',
      summary: 'Who the caller is, and what they may do.',
      answers: { 200: Session },
      handler: async ({ request, reply }): Promise<Session> => {
        const session = await authentication.renewSession(request, reply);
        return {
          name: request.caller?.identity?.name ?? '',
          may: access.operateRights(request),
          open: await authentication.isOpen(),
          ...(session && { until: session.until }),
        };
      },
    }),
    operation({
      method: 'POST',
      path: '/session',
      needs: 'nothing',
      audits: 'session/begin',
      summary: 'Begins a session: the answer sets its cookie. Needs the name and a password of a token.',
      body: Login,
      answers: { 200: Session },
      handler: async ({ request, reply, body }): Promise<Session> => {
        request.caller = { name: body.name, refused: true };
        const proven = await passwordProof(authentication)(body, () => request.ip);
        if ('refused' in proven) {
          const wanted = { needs: 'login', target: '' } as const;
          reply.header('www-authenticate', challengeFor(request, 'Bearer', wanted));
          throw new Fault('unauthorized', proven.refused);
        }
        request.caller = { name: proven.identity.name, identity: proven.identity, refused: false };
        const open = await authentication.isOpen();
        const session = open ? undefined : await authentication.beginSession(request, reply, proven);
        return {
          name: proven.identity.name,
          may: access.operateRights(request),
          open,
          ...(session && { until: session.until }),
        };
      },
    }),
    operation({
      method: 'DELETE',
      path: '/session',
      needs: 'nothing',
      audits: 'session/end',
      summary: 'Ends the session, and deletes its cookie.',
      answers: { 200: Type.Object({}, { description: 'There is no session any more.' }) },
      handler: async ({ request, reply }) => {
        const session = await authentication.endSession(request, reply);
        if (session) request.caller = { name: session.name, refused: false };
        return {};
      },
    }),
  ];
}
