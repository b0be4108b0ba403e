// Who is logged in at which tier.
import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { ApiError, del, get, post } from "@/api/client";
import type { Session } from "@/api/types";

export const useSession = defineStore("session", () => {
  const session = shallowRef<Session | null>(null);
  const checked = ref(false);
  const roles = computed(() => new Set(session.value?.roles ?? []));

  /** Ask the server once; a 401 means nobody, anything else is thrown. */
  async function check(): Promise<void> {
    try {
      session.value = await get<Session>("/api/session");
    } catch (reason) {
      session.value = null;
      if (!(reason instanceof ApiError && reason.status === 401)) throw reason;
    } finally {
      checked.value = true;
    }
  }
  async function login(username: string, password: string): Promise<void> {
    await post("/api/session", { username, password });
    session.value = await get<Session>("/api/session");
  }
  async function logout(): Promise<void> {
    try {
      await del("/api/session");
    } finally {
      session.value = null;
    }
  }
  /** An administrator may do what any role may. */
  const hasRole = (wanted: readonly string[]) =>
    wanted.length === 0 || roles.value.has("administrator") || wanted.some((r) => roles.value.has(r));

  /** Whether to offer an action at all; the server decides at each one. */
  const may = (action: string) => session.value?.actions.includes(action) ?? false;

  return { session, checked, roles, check, login, logout, hasRole, may };
});
