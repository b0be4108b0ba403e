// What is said aloud and in which order: one at a time, the worst first, a crowd as one sentence.
// It knows no loudspeaker: `say` is given.
import type { Text } from "@/api/types";

/** SSE `speak`. */
export interface Spoken {
  text: Text;
  priority: number;
  count: number;
  alarm: string;
  at: number;
}
/** More than so many waiting are said as one sentence. */
export const MOST_WAITING = 3;

export interface Mouth {
  /** Say it, then call `done`. */
  say: (text: string, done: () => void) => void;
  cancel: () => void;
  one: (text: Text) => string;
  more: (count: number, worst: number) => string;
}

export class Speaker {
  private waiting: Spoken[] = [];
  private busy = false;
  private round = 0;

  constructor(private readonly mouth: Mouth) {}

  hear(spoken: Spoken): void {
    this.waiting.push(spoken);
    this.next();
  }

  /** Be quiet now; what waited is not said later. */
  stop(): void {
    this.waiting = [];
    this.busy = false;
    this.round++;
    this.mouth.cancel();
  }

  private next(): void {
    if (this.busy || !this.waiting.length) return;
    this.busy = true;
    const mine = ++this.round;
    this.mouth.say(this.sentence(), () => {
      // A browser may report the end twice, or after `stop`.
      if (mine !== this.round || !this.busy) return;
      this.busy = false;
      this.next();
    });
  }

  private sentence(): string {
    if (this.waiting.length > MOST_WAITING) {
      const all = this.waiting;
      this.waiting = [];
      const worst = Math.min(...all.map((one) => one.priority));
      return this.mouth.more(all.reduce((sum, one) => sum + one.count, 0), worst);
    }
    this.waiting.sort((a, b) => a.priority - b.priority || a.at - b.at);
    return this.mouth.one(this.waiting.shift()?.text ?? { zh: "", en: "" });
  }
}
