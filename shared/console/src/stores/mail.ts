// What the group has written to this factory's desk: fetched once, then told by the stream.
import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import { ApiError, get, post, seg } from "@/api/client";
import type { DeskMessage, MessageList } from "@/api/types";

export const useMail = defineStore("mail", () => {
  const messages = shallowRef<DeskMessage[]>([]);
  const problem = shallowRef<ApiError | null>(null);
  /** The most urgent first, then the oldest: somebody has to say that they have read it. */
  const waiting = computed(() =>
    messages.value.filter((m) => m.acked_at === null).sort((a, b) => a.priority - b.priority || a.at - b.at),
  );
  let heard = 0;
  function take(list: MessageList): void {
    heard++;
    messages.value = list.messages;
    problem.value = null;
  }
  async function load(): Promise<void> {
    const before = heard;
    try {
      const list = await get<MessageList>("/api/group-messages");
      if (heard === before) take(list);
    } catch (reason) {
      problem.value = reason instanceof ApiError ? reason : new ApiError("bad_answer");
    }
  }
  async function acknowledge(id: string, reply: string): Promise<void> {
    take(await post<MessageList>(`/api/group-messages/${seg(id)}/acknowledge`, { reply }));
  }
  return { messages, waiting, problem, take, load, acknowledge };
});
