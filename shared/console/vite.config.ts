import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Two entries from one source: the brain serves index.html, the cloud command.html.
export default defineConfig({
  plugins: [vue()],
  base: "/",
  resolve: { alias: { "@": here("./src") } },
  define: {
    __VUE_OPTIONS_API__: false,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  build: {
    outDir: "dist",
    assetsDir: "assets",
    target: "es2022",
    sourcemap: false,
    // An inlined font or picture would escape the server's cache headers.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: here("./index.html"), command: here("./command.html") },
    },
  },
  server: { proxy: { "/api": process.env.ANDON_DEV_SERVER ?? "http://127.0.0.1:8080" } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"] },
});
