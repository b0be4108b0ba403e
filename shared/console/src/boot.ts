// Starts one of the two applications.
import { createPinia } from "pinia";
import { type Component, createApp } from "vue";
import { createRouter, createWebHashHistory, type RouteRecordRaw } from "vue-router";
import { i18n } from "@/locales";
import LoginScreen from "@/screens/LoginScreen.vue";
import { useSession } from "@/stores/session";
import "@/theme/tokens.css";
import "@/theme/base.css";
import "@/theme/frame.css";

const SESSION_RETRY_MS = 2_000;

/** Mount `root` with `routes`; whoever is not logged in sees the login first. */
export async function boot(root: Component, routes: RouteRecordRaw[]): Promise<void> {
  const app = createApp(root);
  app.use(createPinia()).use(i18n);
  // The server knows one page, so places within it live behind the hash.
  const router = createRouter({
    history: createWebHashHistory(),
    routes: [...routes, { path: "/login", component: LoginScreen }],
  });
  router.beforeEach(async (to) => {
    const session = useSession();
    // A server that is starting must not look like a logged-out user.
    while (!session.session && !session.checked) {
      await session.check().catch(async () => {
        session.checked = false;
        await new Promise((done) => setTimeout(done, SESSION_RETRY_MS));
      });
    }
    if (session.session) return to.path === "/login" ? "/" : true;
    return to.path === "/login" ? true : { path: "/login", query: { to: to.fullPath } };
  });
  app.use(router);
  app.mount("#app");
  await router.isReady();
}
