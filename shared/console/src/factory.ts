// Entry of the factory console.
import { boot } from "./boot";
import FactoryApp from "./FactoryApp.vue";

void boot(FactoryApp, [
  { path: "/", redirect: "/alarms" },
  { path: "/alarms", component: () => import("./screens/AlarmsScreen.vue") },
  { path: "/alarms/:alarm", component: () => import("./screens/AlarmScreen.vue"), props: true },
  { path: "/held/:kind?", component: () => import("./screens/HeldScreen.vue"), props: true },
  { path: "/handover/:id?", component: () => import("./screens/HandoverScreen.vue"), props: true },
  { path: "/incidents", component: () => import("./screens/IncidentsScreen.vue") },
  { path: "/incidents/:id", component: () => import("./screens/IncidentScreen.vue"), props: true },
  { path: "/kpi", component: () => import("./screens/KpiScreen.vue") },
  { path: "/trace", component: () => import("./screens/TraceScreen.vue") },
  { path: "/notifications", component: () => import("./screens/NotificationsScreen.vue") },
  { path: "/links", component: () => import("./screens/LinksScreen.vue") },
  { path: "/system", component: () => import("./screens/SystemScreen.vue") },
  { path: "/audit", component: () => import("./screens/AuditScreen.vue") },
  { path: "/people", component: () => import("./screens/PeopleScreen.vue") },
  { path: "/playbooks", component: () => import("./screens/PlaybooksScreen.vue") },
  { path: "/playbooks/:playbook", component: () => import("./screens/PlaybookScreen.vue"), props: true },
  { path: "/drafts/:id", component: () => import("./screens/DraftScreen.vue"), props: true },
  { path: "/runs", component: () => import("./screens/RunsScreen.vue") },
  { path: "/runs/:id", component: () => import("./screens/RunScreen.vue"), props: true },
  { path: "/faults", component: () => import("./screens/FaultsScreen.vue") },
  { path: "/directives/:edge?/:counter?", component: () => import("./screens/DirectivesScreen.vue"), props: true },
  { path: "/fleet", component: () => import("./screens/FleetScreen.vue") },
  { path: "/:rest(.*)*", redirect: "/alarms" },
]);
