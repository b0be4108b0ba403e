// The playbook editor: line numbers, findings at their lines, the cursor where a finding is.
import { mount } from "@vue/test-utils";
import { describe, expect, it } from "vitest";
import YamlEditor from "@/components/YamlEditor.vue";
import type { Finding } from "@/api/types";
import { i18n } from "@/locales";

const finding = (line: number, column: number, severity: Finding["severity"] = "error"): Finding => ({
  code: "unknown_key", severity, line, column, message: { zh: "未知的键", en: "unknown key" }, mend: { zh: "改名", en: "rename it" },
});
const shown = (findings: Finding[], readonly = false) =>
  mount(YamlEditor, { props: { modelValue: "a: 1\nb: 2\n  c: 3", findings, readonly, label: "draft" }, global: { plugins: [i18n] }, attachTo: document.body });

describe("the editor", () => {
  it("numbers every line and marks the ones with findings", () => {
    const page = shown([finding(2, 1), finding(3, 3, "advice")]);
    expect(page.findAll(".numbers li").map((li) => li.text())).toEqual(["1", "2", "3"]);
    expect(page.find('[data-line="2"]').classes()).toContain("error");
    expect(page.find('.numbers [data-line="3"]').classes()).toContain("advice");
    expect(page.findAll("[data-testid=finding]")).toHaveLength(2);
    page.unmount();
  });
  it("puts the cursor where a finding is", async () => {
    const page = shown([finding(3, 3)]);
    await page.find("[data-testid=finding] button").trigger("click");
    const area = page.find("textarea").element as HTMLTextAreaElement;
    expect(document.activeElement).toBe(area);
    expect(area.value.slice(area.selectionStart)).toBe("c: 3");
    page.unmount();
  });
  it("writes two spaces for Tab, and nothing where it is read only", async () => {
    const page = shown([]);
    const area = page.find("textarea").element as HTMLTextAreaElement;
    area.setSelectionRange(0, 0);
    await page.find("textarea").trigger("keydown", { key: "Tab" });
    expect(page.emitted("update:modelValue")?.at(-1)).toEqual(["  a: 1\nb: 2\n  c: 3"]);
    const fixed = shown([], true);
    await fixed.find("textarea").trigger("keydown", { key: "Tab" });
    expect(fixed.emitted("update:modelValue")).toBeUndefined();
    page.unmount();
    fixed.unmount();
  });
});
