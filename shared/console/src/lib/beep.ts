// Two repeating tones by WebAudio; a browser lets it sound only after the page was touched.

export class Beep {
  private context: AudioContext | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  /** Whether the browser still waits for a touch of the page. */
  get blocked(): boolean {
    return this.context === null || this.context.state !== "running";
  }

  /** Call from a user's gesture. */
  async unlock(): Promise<void> {
    if (typeof AudioContext === "undefined") return;
    this.context ??= new AudioContext();
    if (this.context.state !== "running") await this.context.resume();
  }

  start(): void {
    if (this.timer !== undefined) return;
    this.round();
    this.timer = setInterval(() => this.round(), 1_600);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private round(): void {
    if (this.blocked) return;
    this.tone(880, 0);
    this.tone(660, 0.35);
  }

  private tone(hz: number, delay: number): void {
    if (!this.context) return;
    const start = this.context.currentTime + delay;
    const gain = this.context.createGain();
    // Ramps instead of steps: a click in the loudspeaker tires people.
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.25, start + 0.02);
    gain.gain.setValueAtTime(0.25, start + 0.28);
    gain.gain.linearRampToValueAtTime(0, start + 0.32);
    const tone = this.context.createOscillator();
    tone.type = "triangle";
    tone.frequency.value = hz;
    tone.connect(gain).connect(this.context.destination);
    tone.start(start);
    tone.stop(start + 0.34);
  }
}
