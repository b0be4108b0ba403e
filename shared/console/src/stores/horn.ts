// Whether this page sounds now: the server says where the horn is, a person may silence it here.
import { defineStore } from "pinia";
import { computed, ref, watch } from "vue";
import { Beep } from "@/lib/beep";
import { useAlarms } from "./alarms";

export const useHorn = defineStore("horn", () => {
  const alarms = useAlarms();
  const beep = new Beep();
  const silenced = ref(false);
  const blocked = ref(true);
  const wanted = computed(() => Boolean(alarms.banner?.horn) && (alarms.banner?.unacked ?? 0) > 0);
  const sounding = computed(() => wanted.value && !silenced.value);

  watch(
    () => alarms.newSounding,
    () => {
      silenced.value = false;
    },
  );
  watch(wanted, (now) => {
    if (!now) silenced.value = false;
  });
  watch(sounding, (now) => (now ? beep.start() : beep.stop()), { immediate: true });

  /** Quiet until the next new alarm; acknowledges nothing. */
  const silence = () => {
    silenced.value = wanted.value;
  };
  const unlock = async () => {
    await beep.unlock();
    blocked.value = beep.blocked;
  };

  return { silenced, blocked, wanted, sounding, silence, unlock };
});
