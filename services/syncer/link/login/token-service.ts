import { Fault } from '#proto/contract/fault.ts';
import { refusal } from '../answers/answers.ts';
import { type Answer, MAX_SMALL_ANSWER_BYTES, readErrorBody } from '../answers/bodies.ts';
import { basicOf, type Granted, type ParentLogin } from './credentials.ts';
import { grantedIn, jsonFields } from './token-answer.ts';

/** Sends one request to a token service, and reads its answer. Supplied by `ParentLink`. */
export type TokenHttp = {
  send(url: URL, request: { authorization?: string; form?: URLSearchParams }): Promise<Answer>;
  read(answer: Answer, limit: number, what: string): Promise<Buffer>;
  /** The URL as it appears in messages. */
  nameOf(url: URL): string;
};

/** Statuses that have a meaning of their own when the parent answers a request for a resource with them. */
const AMBIGUOUS = [400, 404, 405, 410, 416, 501];
/** Statuses of a token service that does not grant tokens by GET. */
const NO_GET = [404, 405, 501];
/** Name of this client (OAuth 2.0). */
const CLIENT_ID = 'terrace';

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** Requests tokens of token services: by GET, and with a login by POST (OAuth 2.0) where GET is not supported. */
export class TokenService {
  readonly #http: TokenHttp;
  /** Services that grant tokens by POST only, by origin and path. A parent has one. */
  #postOnly: string | undefined;

  constructor(http: TokenHttp) {
    this.#http = http;
  }

  /**
   * A token for the service and the scopes in the query of `url`.
   * @throws Fault `parent-invalid`, `parent-refused`, `busy`, `parent-unreachable`
   */
  async granted(url: URL, login: ParentLogin | undefined): Promise<Granted> {
    const place = `${url.origin}${url.pathname}`;
    if (login && this.#postOnly === place) return this.#byPost(url, login);
    const answer = await this.#http.send(url, login ? { authorization: basicOf(login) } : {});
    if (isSuccess(answer.statusCode)) return this.#grantedIn(answer, `GET ${this.#http.nameOf(url)}`);
    const fault = await this.#refused(answer, `GET ${this.#http.nameOf(url)}`);
    if (!login || !NO_GET.includes(answer.statusCode)) throw fault;
    try {
      const granted = await this.#byPost(url, login);
      this.#postOnly = place;
      return granted;
    } catch (error) {
      // A service that has no POST either says more by its first answer.
      throw Fault.is(error, 'parent-unreachable', 'busy') ? error : fault;
    }
  }

  /** Posts a form and parses the JSON answer. */
  async post(url: URL, form: URLSearchParams): Promise<Record<string, unknown>> {
    const what = `POST ${url.origin}${url.pathname}`;
    const answer = await this.#http.send(url, { form });
    if (!isSuccess(answer.statusCode))
      throw ofLogin(refusal(answer.statusCode, answer.headers, await readErrorBody(answer), what));
    return jsonFields(await this.#http.read(answer, MAX_SMALL_ANSWER_BYTES, what), what);
  }

  async #byPost(url: URL, { username, password }: ParentLogin): Promise<Granted> {
    const at = new URL(url);
    const form = new URLSearchParams({ grant_type: 'password', client_id: CLIENT_ID, username, password });
    form.set('scope', at.searchParams.getAll('scope').join(' '));
    form.set('service', at.searchParams.get('service') ?? at.host);
    for (const name of ['scope', 'service']) at.searchParams.delete(name);
    const what = `POST ${this.#http.nameOf(url)}`;
    const answer = await this.#http.send(at, { form });
    if (!isSuccess(answer.statusCode)) throw await this.#refused(answer, what);
    return this.#grantedIn(answer, what);
  }

  async #grantedIn(answer: Answer, what: string): Promise<Granted> {
    return grantedIn(await this.#http.read(answer, MAX_SMALL_ANSWER_BYTES, what), what, Date.now());
  }

  async #refused(answer: Answer, what: string): Promise<Fault> {
    const { statusCode, headers } = answer;
    const fault = refusal(statusCode, headers, await readErrorBody(answer), what);
    // A missing token service says nothing about the resource requested of the parent: the status is left out.
    return AMBIGUOUS.includes(statusCode) ? new Fault(fault.code, fault.message) : ofLogin(fault);
  }
}

/** A refusal of the token service concerns the login, and not the resource requested of the parent. */
const ofLogin = ({ code, message, detail }: Fault): Fault =>
  new Fault(code, message, { detail: { ...detail, login: true } });
