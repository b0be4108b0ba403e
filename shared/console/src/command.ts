// Entry of the group command centre.
import { boot } from "./boot";
import CommandApp from "./CommandApp.vue";

void boot(CommandApp, [
  { path: "/", redirect: "/factories" },
  { path: "/factories", component: () => import("./screens/FactoriesScreen.vue") },
  { path: "/proposals", component: () => import("./screens/ProposalsScreen.vue") },
  { path: "/proposals/:id", component: () => import("./screens/ProposalsScreen.vue"), props: true },
  { path: "/:rest(.*)*", redirect: "/factories" },
]);
