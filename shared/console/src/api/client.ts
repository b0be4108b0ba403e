// Speaks HTTP with the tier that serves this page. It knows no alarm rule.
import type { Problem } from "./types";

const TIMEOUT_MS = 10_000;

/** What a refused or failed call says: a code to be worded, and its parameters. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly params: Record<string, unknown> = {},
    readonly status = 0,
  ) {
    super(code);
  }
}

/** A key that is new for each action; `randomUUID` is absent on plain http. */
export function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Turn an unsuccessful answer into the error that people are shown. */
export async function errorOf(response: Response): Promise<ApiError> {
  const kind = response.headers.get("content-type") ?? "";
  if (kind.includes("json")) {
    const body = (await response.json().catch(() => null)) as Partial<Problem> | null;
    if (body?.code) return new ApiError(body.code, body.params ?? {}, response.status);
  }
  return new ApiError(`http_${response.status}`, {}, response.status);
}

async function ask(
  method: string,
  path: string,
  body?: unknown,
  key?: string,
  more: Record<string, string> = {},
): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...more };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (reason) {
    const timedOut = reason instanceof DOMException && reason.name === "TimeoutError";
    throw new ApiError(timedOut ? "timeout" : "network");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function bodyOf<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError("bad_answer", {}, response.status);
  }
}

async function call<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
  return bodyOf<T>(await ask(method, path, body, key));
}

/** Something that others may change too, with the tag that a change must name. */
export interface Tagged<T> {
  it: T;
  tag: string;
}
export async function getTagged<T>(path: string): Promise<Tagged<T>> {
  const response = await ask("GET", path);
  return { it: await bodyOf<T>(response), tag: response.headers.get("etag") ?? "" };
}
/** Change what was read under this tag; a 412 says that somebody was faster. */
export async function changeTagged<T>(
  method: "PUT" | "POST",
  path: string,
  body: unknown,
  tag: string,
): Promise<T> {
  const match: Record<string, string> = tag ? { "if-match": tag } : {};
  return bodyOf<T>(await ask(method, path, body, newKey(), match));
}

export const get = <T>(path: string) => call<T>("GET", path);
export const post = <T>(path: string, body: unknown, key = newKey()) =>
  call<T>("POST", path, body, key);
export const put = <T>(path: string, body: unknown, key = newKey()) =>
  call<T>("PUT", path, body, key);

const UPLOAD_MS = 60_000;

/** Send a file as the body. */
export async function upload<T>(path: string, file: Blob, type: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { accept: "application/json", "content-type": type, "idempotency-key": newKey() },
      body: file,
      credentials: "same-origin",
      signal: AbortSignal.timeout(UPLOAD_MS),
    });
  } catch {
    throw new ApiError("network");
  }
  if (!response.ok) throw await errorOf(response);
  return (await response.json()) as T;
}
export const del = (path: string) => call<void>("DELETE", path);
export const seg = encodeURIComponent;
