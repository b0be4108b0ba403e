// Where the factories' own consoles are; a link is only ever made of a plain web address.
import { defineStore } from "pinia";
import { shallowRef } from "vue";
import { get } from "@/api/client";
import type { FleetInventory } from "@/api/types";

const AGAIN_MS = 60_000;

/** The address of a place in a factory's console; empty where the address is none to link to. */
export function consoleLink(base: string, place: string): string {
  let url: URL;
  try {
    url = new URL(base);
  } catch {
    return "";
  }
  const plain = (url.protocol === "https:" || url.protocol === "http:") && !url.username && !url.password;
  return plain ? `${url.origin}${url.pathname.replace(/\/$/, "")}/#${place}` : "";
}

export const useConsoles = defineStore("consoles", () => {
  const bySite = shallowRef<Record<string, string>>({});
  let asked = 0;
  /** Ask at most once a minute: it hardly ever changes. */
  async function load(): Promise<void> {
    if (asked && Date.now() - asked < AGAIN_MS) return;
    asked = Date.now();
    try {
      const fleet = await get<FleetInventory>("/api/group/fleet");
      bySite.value = Object.fromEntries(fleet.factories.filter((f) => f.console).map((f) => [f.site, f.console]));
    } catch {
      asked = 0; // an addition only: without it there is no link
    }
  }
  const link = (site: string, place: string) => (bySite.value[site] ? consoleLink(bySite.value[site], place) : "");
  return { bySite, load, link };
});
