// Language and theme of this browser.
import { defineStore } from "pinia";
import { computed, ref, watch } from "vue";
import { i18n, type Locale } from "@/locales";

export type Theme = "auto" | "light" | "dark";
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

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

  const toggleLocale = () => {
    locale.value = locale.value === "en" ? "zh-CN" : "en";
  };
  const nextTheme = () => {
    theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  };
  return { locale, theme, dark, toggleLocale, nextTheme };
});
