// Says new alarms aloud in the reader's language, where the reader has switched it on.
import { defineStore } from "pinia";
import { watch } from "vue";
import { i18n, said } from "@/locales";
import { Speaker, type Spoken } from "@/lib/speech";
import { useHorn } from "./horn";
import { usePrefs } from "./prefs";

export const useVoice = defineStore("voice", () => {
  const prefs = usePrefs();
  const horn = useHorn();
  const possible = typeof speechSynthesis !== "undefined";
  const speaker = new Speaker({
    say: (text, done) => {
      const words = new SpeechSynthesisUtterance(text);
      words.lang = prefs.locale;
      words.onend = done;
      words.onerror = done;
      speechSynthesis.speak(words);
    },
    cancel: () => speechSynthesis.cancel(),
    one: (text) => said(text, prefs.locale),
    more: (count, worst) => i18n.global.t("voice.more", { count, worst }),
  });

  function hear(spoken: Spoken): void {
    if (possible && prefs.speech) speaker.hear(spoken);
  }
  const quiet = () => {
    if (possible) speaker.stop();
  };
  watch(() => prefs.speech, (on) => on || quiet());
  // Silence is for the voice as well: it speaks again with the next new alarm.
  watch(() => horn.silenced, (now) => now && quiet());

  return { possible, hear, quiet };
});
