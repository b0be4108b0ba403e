// Entry of the factory console.
import { boot } from "./boot";
import FactoryApp from "./FactoryApp.vue";

void boot(FactoryApp, [
  { path: "/", redirect: "/alarms" },
  { path: "/alarms", component: () => import("./screens/AlarmsScreen.vue") },
  { path: "/alarms/:alarm", component: () => import("./screens/AlarmScreen.vue"), props: true },
  { path: "/runs", component: () => import("./screens/RunsScreen.vue") },
  { path: "/runs/:id", component: () => import("./screens/RunScreen.vue"), props: true },
  { path: "/fleet", component: () => import("./screens/FleetScreen.vue") },
  { path: "/:rest(.*)*", redirect: "/alarms" },
]);
