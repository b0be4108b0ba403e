// Reads one server-sent event stream with fetch, so that a reconnect can name its position
// and see a 401; the browser's EventSource can do neither.
import { ApiError, errorOf } from "./client";

export interface SseEvent {
  event: string;
  id: string;
  data: string;
}

/** Cuts a growing text into events, by the rules of the SSE format. */
export class SseParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id = "";

  push(text: string): SseEvent[] {
    const out: SseEvent[] = [];
    this.rest += text;
    // A lone CR at the very end may be the first half of CRLF: it waits for the next chunk.
    for (let m = /\r\n|\n|\r(?!$)/.exec(this.rest); m; m = /\r\n|\n|\r(?!$)/.exec(this.rest)) {
      const line = this.rest.slice(0, m.index);
      this.rest = this.rest.slice(m.index + m[0].length);
      const done = this.line(line);
      if (done) out.push(done);
    }
    return out;
  }

  private line(line: string): SseEvent | null {
    if (line === "") return this.flush();
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return null;
  }

  private flush(): SseEvent | null {
    const found = this.data.length
      ? { event: this.event || "message", id: this.id, data: this.data.join("\n") }
      : null;
    this.event = "";
    this.data = [];
    return found;
  }
}

/** Read until the stream ends or is aborted; every sign of life calls `alive`. */
export async function readStream(
  path: string,
  lastId: string | null,
  signal: AbortSignal,
  on: { open: () => void; alive: () => void; event: (e: SseEvent) => void },
): Promise<void> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  const response = await fetch(path, {
    headers,
    signal,
    credentials: "same-origin",
    cache: "no-store",
  });
  if (!response.ok) throw await errorOf(response);
  if (!response.body) throw new ApiError("bad_answer");
  on.open();
  on.alive();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    on.alive();
    for (const event of parser.push(decoder.decode(value, { stream: true }))) on.event(event);
  }
}
