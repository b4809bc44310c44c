import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParentDocument } from '#proto/document/configuration.ts';
import { Authority } from '../certificates.ts';
import { Acr, type AcrOptions, ALL } from './acr.ts';
import type { Rights } from './acr-tokens.ts';
import { Entra } from './entra.ts';

const [TENANT, PRINCIPAL, MACHINE, WORKLOAD] = ['tenant-1', 'principal-1', 'machine-1', 'workload-1'];

/** A registry with the rights of its identities, and their authority; both have certificates of one authority. */
export class Azure implements AsyncDisposable {
  readonly authority: Authority;
  readonly entra: Entra;
  readonly acr: Acr;
  readonly #stack: AsyncDisposableStack;

  /** @param rights of every identity */
  static async start(options: Partial<AcrOptions> = {}, rights: Rights = ALL): Promise<Azure> {
    const stack = new AsyncDisposableStack();
    const authority = stack.use(await Authority.create());
    for (const [file, text] of Object.entries({ secret: 's3cret\n', token: 'of the cluster\n' })) {
      await writeFile(join(authority.folder, file), text);
    }
    const entra = stack.use(
      await Entra.start({
        authority,
        tenant: TENANT,
        secrets: { [PRINCIPAL]: 's3cret' },
        assertions: { [WORKLOAD]: 'of the cluster' },
        machine: MACHINE,
      }),
    );
    const identities = { [PRINCIPAL]: rights, [MACHINE]: rights, [WORKLOAD]: rights };
    const acr = stack.use(await Acr.start({ authority, identify: entra.identify, identities, ...options }));
    return new Azure(authority, entra, acr, stack);
  }

  private constructor(authority: Authority, entra: Entra, acr: Acr, stack: AsyncDisposableStack) {
    this.authority = authority;
    this.entra = entra;
    this.acr = acr;
    this.#stack = stack;
  }

  /** The `parent` of a layer's configuration, with an identity of that kind. */
  parent(credential: 'service-principal' | 'managed-identity' | 'workload-identity'): ParentDocument {
    const file = (name: string) => join(this.authority.folder, name);
    const { authorityHost } = this.entra;
    const identity = {
      'service-principal': { clientId: PRINCIPAL, tenantId: TENANT, clientSecretFile: file('secret') },
      'managed-identity': { clientId: MACHINE },
      'workload-identity': { clientId: WORKLOAD, tenantId: TENANT, tokenFile: file('token') },
    }[credential];
    const azure = { credential, authorityHost, ...identity };
    return { url: this.acr.url, caFile: this.authority.certificate, azure };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
