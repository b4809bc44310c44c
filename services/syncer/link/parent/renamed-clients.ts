import type { RepositoryNames } from '#proto/oci/repository-names.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { ParentRegistry } from './parent-registry.ts';
import { PushClient } from './push-client.ts';
import { UploadClient } from './upload-client.ts';

/**
 * The clients of a parent whose repositories have other names in this layer: they take names of this layer and send the
 * parent's. Messages of their faults name the parent's repository; what failed is reported by the name here.
 */

/** A method whose first parameter is the name of a repository. */
type Named = (repository: string, ...rest: never[]) => unknown;
type Rest<M extends Named> = M extends (repository: string, ...rest: infer R) => unknown ? R : never;

export class RenamedParentRegistry extends ParentRegistry {
  readonly #names: RepositoryNames;
  /** Another object: a method of it never calls one of this object, which would translate a name twice. */
  readonly #parent: ParentRegistry;

  constructor(link: ParentLink, names: RepositoryNames) {
    super(link);
    this.#names = names;
    this.#parent = new ParentRegistry(link);
  }

  override async *repositories(...rest: Parameters<ParentRegistry['repositories']>): AsyncGenerator<string> {
    for await (const name of this.#parent.repositories(...rest)) {
      const here = this.#names.here(name);
      if (here !== undefined) yield here;
    }
  }

  /** @param project by its name at the parent */
  override async projectRepositories(
    ...[project, signal]: Parameters<ParentRegistry['projectRepositories']>
  ) {
    const names = await this.#parent.projectRepositories(project, signal);
    return names?.map((name) => this.#names.here(name)).filter((name) => name !== undefined);
  }

  override tags(repository: string, ...rest: Rest<ParentRegistry['tags']>) {
    return this.#parent.tags(this.#names.above(repository), ...rest);
  }

  override resolve(repository: string, ...rest: Rest<ParentRegistry['resolve']>) {
    return this.#parent.resolve(this.#names.above(repository), ...rest);
  }

  override manifest(repository: string, ...rest: Rest<ParentRegistry['manifest']>) {
    return this.#parent.manifest(this.#names.above(repository), ...rest);
  }

  override taggedManifest(repository: string, ...rest: Rest<ParentRegistry['taggedManifest']>) {
    return this.#parent.taggedManifest(this.#names.above(repository), ...rest);
  }

  override hasReferrers(repository: string) {
    return this.#parent.hasReferrers(this.#names.above(repository));
  }

  override hiddenReferrers(repository: string) {
    return this.#parent.hiddenReferrers(this.#names.above(repository));
  }

  override hiddenReferrersAbove(repository: string) {
    return this.#parent.hiddenReferrersAbove(this.#names.above(repository));
  }

  override recheckReferrers() {
    this.#parent.recheckReferrers();
  }

  override referrers(repository: string, ...rest: Rest<ParentRegistry['referrers']>) {
    return this.#parent.referrers(this.#names.above(repository), ...rest);
  }

  override blobSize(repository: string, ...rest: Rest<ParentRegistry['blobSize']>) {
    return this.#parent.blobSize(this.#names.above(repository), ...rest);
  }

  override blob(repository: string, ...rest: Rest<ParentRegistry['blob']>) {
    return this.#parent.blob(this.#names.above(repository), ...rest);
  }
}

export class RenamedUploadClient extends UploadClient {
  readonly #names: RepositoryNames;
  /** Another object, see `RenamedParentRegistry`. */
  readonly #client: UploadClient;

  constructor(client: UploadClient, names: RepositoryNames) {
    super(client.deps);
    this.#names = names;
    this.#client = client;
  }

  override mount(...[repository, digest, from, signal]: Parameters<UploadClient['mount']>) {
    return this.#client.mount(this.#names.above(repository), digest, this.#names.above(from), signal);
  }

  override begin(repository: string, ...rest: Rest<UploadClient['begin']>) {
    return this.#client.begin(this.#names.above(repository), ...rest);
  }

  override findSession(repository: string, ...rest: Rest<UploadClient['findSession']>) {
    return this.#client.findSession(this.#names.above(repository), ...rest);
  }

  override cancel(repository: string, ...rest: Rest<UploadClient['cancel']>) {
    return this.#client.cancel(this.#names.above(repository), ...rest);
  }

  override append(repository: string, ...rest: Rest<UploadClient['append']>) {
    return this.#client.append(this.#names.above(repository), ...rest);
  }

  override finish(repository: string, ...rest: Rest<UploadClient['finish']>) {
    return this.#client.finish(this.#names.above(repository), ...rest);
  }

  override confirm(repository: string, ...rest: Rest<UploadClient['confirm']>) {
    return this.#client.confirm(this.#names.above(repository), ...rest);
  }
}

export class RenamedPushClient extends PushClient {
  override readonly uploads: UploadClient;
  readonly #names: RepositoryNames;
  /** Another object, see `RenamedParentRegistry`. */
  readonly #client: PushClient;
  readonly #link: ParentLink;

  constructor(link: ParentLink, names: RepositoryNames, client = new PushClient(link)) {
    super(link);
    this.#names = names;
    this.#client = client;
    this.#link = link;
    this.uploads = new RenamedUploadClient(client.uploads, names);
  }

  override guarded(mayChange: () => void): PushClient {
    return new RenamedPushClient(this.#link, this.#names, this.#client.guarded(mayChange));
  }

  override hasBlob(repository: string, ...rest: Rest<PushClient['hasBlob']>) {
    return this.#client.hasBlob(this.#names.above(repository), ...rest);
  }

  override hasManifest(repository: string, ...rest: Rest<PushClient['hasManifest']>) {
    return this.#client.hasManifest(this.#names.above(repository), ...rest);
  }

  override putManifest(repository: string, ...rest: Rest<PushClient['putManifest']>) {
    return this.#client.putManifest(this.#names.above(repository), ...rest);
  }

  override deleteManifest(repository: string, ...rest: Rest<PushClient['deleteManifest']>) {
    return this.#client.deleteManifest(this.#names.above(repository), ...rest);
  }

  override deleteTag(repository: string, ...rest: Rest<PushClient['deleteTag']>) {
    return this.#client.deleteTag(this.#names.above(repository), ...rest);
  }
}
