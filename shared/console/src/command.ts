// Entry of the group command centre.
import { boot } from "./boot";
import CommandApp from "./CommandApp.vue";

void boot(CommandApp, [
  { path: "/", redirect: "/centre" },
  { path: "/centre/:site?/:incident?", component: () => import("./screens/CentreScreen.vue"), props: true },
  { path: "/factories", component: () => import("./screens/FactoriesScreen.vue") },
  { path: "/proposals", component: () => import("./screens/ProposalsScreen.vue") },
  { path: "/proposals/:id", component: () => import("./screens/ProposalsScreen.vue"), props: true },
  { path: "/rollouts", component: () => import("./screens/RolloutsScreen.vue") },
  { path: "/rollouts/:id", component: () => import("./screens/RolloutsScreen.vue"), props: true },
  { path: "/warnings", component: () => import("./screens/EarlyWarningsScreen.vue") },
  { path: "/try/:site?/:alarm?", component: () => import("./screens/TryScreen.vue"), props: true },
  { path: "/playbooks/:playbook?", component: () => import("./screens/GroupPlaybooksScreen.vue"), props: true },
  { path: "/tenants", component: () => import("./screens/TenantsScreen.vue") },
  { path: "/notices/:tab?", component: () => import("./screens/NoticesScreen.vue"), props: true },
  { path: "/compare", component: () => import("./screens/CompareScreen.vue") },
  { path: "/statistics", component: () => import("./screens/StatsScreen.vue") },
  { path: "/fleet", component: () => import("./screens/GroupFleetScreen.vue") },
  { path: "/:rest(.*)*", redirect: "/centre" },
]);
