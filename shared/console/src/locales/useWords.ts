// Words for codes that the server sends: a code without wording is shown itself.
import { useI18n } from "vue-i18n";
import type { ApiError } from "@/api/client";
import type { Text } from "@/api/types";
import { said } from ".";

const scalar = (value: unknown): string =>
  value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");

/** `key=value` pairs, for parameters that no wording names. */
export const pairs = (params: Record<string, unknown>) =>
  Object.entries(params)
    .map(([key, value]) => `${key}=${scalar(value)}`)
    .join(" ");

export function useWords() {
  const { t, te, locale } = useI18n();
  const known = (key: string) => te(key) || te(key, "en");

  /** The wording of `code` in `group`, else the code with its parameters. */
  function word(group: string, code: string, params: Record<string, unknown> = {}): string {
    // Codes may be dotted; the path separator of the catalogue is the dot too.
    const key = `${group}.${code.replaceAll(".", "_")}`;
    if (!known(key)) return [code, pairs(params)].filter(Boolean).join(" · ");
    const shown = Object.fromEntries(Object.entries(params).map(([k, v]) => [k, scalar(v)]));
    return t(key, shown);
  }
  const problem = (error: Pick<ApiError, "code" | "params">) =>
    word("code", error.code, error.params);
  const text = (value: Text | null | undefined) => said(value, locale.value);
  return { t, locale, word, problem, text };
}
