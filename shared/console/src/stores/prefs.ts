// Language and theme of this browser.
import { defineStore } from "pinia";
import { computed, ref, watch } from "vue";
import { i18n, type Locale } from "@/locales";

export type Theme = "auto" | "light" | "dark";
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

/** How the alarm list stands: flat, grouped, or grouped while there is a flood. */
export type Grouping = "auto" | "on" | "off";
const GROUPINGS: readonly Grouping[] = ["auto", "on", "off"];

const read = (key: string) => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage switched off by policy: the choice lasts as long as the page
  }
};
const write = (key: string, value: string) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
};

export const usePrefs = defineStore("prefs", () => {
  const locale = ref<Locale>(read("andon.locale") === "en" ? "en" : "zh-CN");
  const theme = ref<Theme>(THEMES.find((t) => t === read("andon.theme")) ?? "auto");
  const grouping = ref<Grouping>(
    GROUPINGS.find((one) => one === read("andon.grouping")) ?? "auto",
  );
  const speech = ref(read("andon.speech") === "on");
  const night = matchMedia("(prefers-color-scheme: dark)");
  const systemDark = ref(night.matches);
  night.addEventListener("change", (e) => {
    systemDark.value = e.matches;
  });
  const dark = computed(() => theme.value === "dark" || (theme.value === "auto" && systemDark.value));

  watch(
    locale,
    (value) => {
      i18n.global.locale.value = value;
      document.documentElement.lang = value;
      write("andon.locale", value);
    },
    { immediate: true, flush: "sync" },
  );
  watch(
    dark,
    (value) => {
      document.documentElement.dataset.theme = value ? "dark" : "light";
    },
    { immediate: true, flush: "sync" },
  );
  watch(theme, (value) => write("andon.theme", value));
  watch(grouping, (value) => write("andon.grouping", value));
  watch(speech, (value) => write("andon.speech", value ? "on" : "off"));

  const toggleLocale = () => {
    locale.value = locale.value === "en" ? "zh-CN" : "en";
  };
  const nextTheme = () => {
    theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  };
  const nextGrouping = () => {
    grouping.value = GROUPINGS[(GROUPINGS.indexOf(grouping.value) + 1) % GROUPINGS.length] ?? "auto";
  };
  return { locale, theme, dark, grouping, speech, toggleLocale, nextTheme, nextGrouping };
});
