// Keyboard of the alarm list; keys are off while a person types and inside dialogs.
import { onBeforeUnmount, onMounted } from "vue";

export type KeyMap = Record<string, (e: KeyboardEvent) => void>;

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest("dialog")) return true;
  if (target instanceof HTMLInputElement) return target.type !== "checkbox";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** A focused button or link keeps Enter and Space for itself. */
function ownsKey(e: KeyboardEvent): boolean {
  const pressable = e.target instanceof HTMLElement && e.target.closest("button, a, input");
  return Boolean(pressable) && (e.key === "Enter" || e.key === " ");
}

/** Listen while the component is mounted. */
export function useKeys(map: KeyMap): void {
  const onKey = (e: KeyboardEvent) => {
    const palette = (e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === "k";
    if (palette && map["Ctrl+K"] && !document.querySelector("dialog[open]")) {
      e.preventDefault();
      map["Ctrl+K"](e);
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || ownsKey(e)) return;
    const action = map[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!action) return;
    e.preventDefault();
    action(e);
  };
  onMounted(() => window.addEventListener("keydown", onKey));
  onBeforeUnmount(() => window.removeEventListener("keydown", onKey));
}
