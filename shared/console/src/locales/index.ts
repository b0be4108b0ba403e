// Both languages of the console; an unknown code is shown as it is.
import { createI18n } from "vue-i18n";
import type { Text } from "@/api/types";
import en from "./en.json";
import zh from "./zh-CN.json";

export type Locale = "zh-CN" | "en";

export const i18n = createI18n({
  legacy: false,
  locale: "zh-CN" as Locale,
  fallbackLocale: "en",
  messages: { "zh-CN": zh, en },
  missingWarn: false,
  fallbackWarn: false,
});

/** A text in the chosen language, else in the other one. */
export function said(text: Text | null | undefined, locale: string): string {
  if (!text) return "";
  return (locale === "en" ? text.en || text.zh : text.zh || text.en) ?? "";
}
