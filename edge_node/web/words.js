"use strict";
// Every word of the page in both languages; refusals are worded in /assets/codes.json.
const WORDS = {
  zh: { title: "安灯 · 边缘本地页", you: "操作员", password: "密码", enter: "进入", helpOpen: "? 帮助", viewAlarms: "报警", viewEvery: "全部报警点", viewTrend: "趋势", viewSystem: "系统",
    priority: "级别", alarm: "报警", state: "状态", value: "值", limit: "限值", since: "发生于", action: "本地动作", ackAll: "全部确认", none: "没有报警", noneEvery: "没有符合的报警点", find: "查找",
    hornOn: "本处鸣响", hornHere: "由本处负责鸣响", hornAway: "由上级鸣响", soundOff: "启用声音", soundOn: "声音已启用", name: "请先填写操作员姓名",
    brain: "工厂大脑失联，自 {since} 起；{n} 条消息等待上送。报警与本地联锁继续工作。", link: "本页与边缘引擎失联，下面的内容可能已过时。", journal: "日志磁盘故障：只执行安全方向的动作。",
    refused: "未被接受", done: "已执行：{what}", stored: "已执行，但磁盘故障，尚未存盘：{what}", wrong: "密码不对，或尝试过多", network: "引擎没有应答", choose: "请先用方向键选一条报警",
    acknowledge: "确认", confirm: "处理完毕", reset: "复位", shelve: "搁置", unshelve: "取消搁置", out_of_service: "停用", in_service: "恢复使用", suppress: "抑制", unsuppress: "取消抑制", disable: "禁用", enable: "启用", comment: "备注",
    reason: "原因", text: "备注内容", howLong: "搁置多久", timed: "定时", minutes: "分钟", oneShot: "单次（直到恢复正常）", cancel: "取消", close: "关闭", until: "至 {time}", untilNormal: "直到恢复正常", most: "最多 {n} 分钟", safety: "安全报警", firstOut: "首发", kept: "{who}：{why}", because: "因 {list}",
    tag: "测点", trendKeys: "← → 平移，+ − 缩放，0 回到现在", trendText: "{n} 个采样；最新 {last} {unit}（{at}）；最小 {low}，最大 {high}", trendEmpty: "这段时间没有采样", raised: "报警", filter_mean5min: "5 分钟均值", filter_day: "相对一天均值的偏差", filter_filling: "滤波尚未充满，暂按原始采样值", now: "现在", minutesSpan: "{n} 分钟", hours: "{n} 小时",
    drivers: "数据源", source: "数据源", detail: "说明与处理办法", droppedSamples: "丢弃采样", connected: "已连接", connecting: "正在连接", failed: "故障",
    lanes: "上送积压", lane: "通道", produced: "产生", delivered: "已送达", buffered: "等待", gaps: "缺口", quarantined: "隔离", balance: "守恒", balanced: "平衡", unbalanced: "不平衡！", live: "实时", replay: "补传", history: "历史",
    node: "本机", brainState: "工厂大脑", reachable: "在线", lostSince: "自 {since} 失联", clock: "时钟偏差", clockValue: "{offset} ms ± {uncertainty} ms", unknown: "未知", journalState: "日志", journalOk: "正常；{n} 项待存盘", journalBad: "故障：{why}；{n} 项待存盘；丢失采样批 {samples}，丢失事件 {events}",
    kernel: "内核", cython: "已编译", python: "纯 Python（较慢）", site: "现场配置版本", siteSame: "{v}（与期望一致）", siteOther: "运行 {v}，期望 {d}：{why}", settings: "设定版本", telemetry: "上送采样", telemetryValue: "已报 {n}，丢弃 {d}", asked: "；应工厂要求全速上送：{list}", ring: "全速历史", ringValue: "内存 {mb} MB，回溯 {span}；磁盘：{disk}",
    on: "正常", off: "未启用", snippets: "报警片段", snippetsValue: "等待 {p}，已送 {s}，因过多跳过 {k}", horn: "鸣响", no_lease: "上级从未接管", lease_held: "上级已接管", lease_lapsed: "上级的接管已过期", legend: "图例", helpTitle: "键盘",
    keys: [["↑ ↓ Home End", "选择报警"], ["A", "确认"], ["C", "处理完毕"], ["R", "复位"], ["S / U", "搁置 / 取消搁置"], ["O", "停用 / 恢复使用"], ["P", "抑制 / 取消抑制"], ["X", "禁用 / 启用"], ["M", "备注"], ["T / Enter", "趋势"], ["1 2 3 4", "报警、全部、趋势、系统"], ["L", "中文 / English"], ["?", "本帮助"]] },
  en: { title: "Andon · the edge's own page", you: "Operator", password: "Password", enter: "Enter", helpOpen: "? Help", viewAlarms: "Alarms", viewEvery: "All alarm points", viewTrend: "Trend", viewSystem: "System",
    priority: "Priority", alarm: "Alarm", state: "State", value: "Value", limit: "Limit", since: "Since", action: "Local action", ackAll: "Acknowledge all", none: "No alarms", noneEvery: "No such alarm point", find: "Find",
    hornOn: "Sounding here", hornHere: "This place sounds", hornAway: "Sounded above", soundOff: "Enable sound", soundOn: "Sound enabled", name: "Fill in the operator's name first",
    brain: "The factory's brain cannot be reached since {since}; {n} messages wait. Alarms and local actions go on.", link: "This page has lost the edge engine; what you see may be out of date.", journal: "The journal's disk fails: only actions towards safety are carried out.",
    refused: "Not accepted", done: "Done: {what}", stored: "In force, but the disk fails and it is not stored yet: {what}", wrong: "Wrong password, or too many attempts", network: "The engine did not answer", choose: "Choose an alarm with the arrow keys first",
    acknowledge: "Acknowledge", confirm: "Confirm", reset: "Reset", shelve: "Shelve", unshelve: "Unshelve", out_of_service: "Take out of service", in_service: "Back in service", suppress: "Suppress", unsuppress: "Unsuppress", disable: "Disable", enable: "Enable", comment: "Comment",
    reason: "Reason", text: "Comment", howLong: "For how long", timed: "For a time", minutes: "minutes", oneShot: "Once, until it returns to normal", cancel: "Cancel", close: "Close", until: "until {time}", untilNormal: "until it returns to normal", most: "at most {n} minutes", safety: "safety alarm", firstOut: "first out", kept: "{who}: {why}", because: "because of {list}",
    tag: "Tag", trendKeys: "← → move, + − zoom, 0 back to now", trendText: "{n} samples; newest {last} {unit} ({at}); least {low}, greatest {high}", trendEmpty: "No samples in this time", raised: "raised", filter_mean5min: "mean of 5 min", filter_day: "deviation from a day", filter_filling: "filter still filling: raw samples", now: "now", minutesSpan: "{n} min", hours: "{n} h",
    drivers: "Sources", source: "Source", detail: "Detail and mend", droppedSamples: "Samples dropped", connected: "connected", connecting: "connecting", failed: "failed",
    lanes: "Backlog", lane: "Lane", produced: "Produced", delivered: "Delivered", buffered: "Waiting", gaps: "Gaps", quarantined: "Quarantined", balance: "Conservation", balanced: "balanced", unbalanced: "NOT balanced", live: "live", replay: "replay", history: "history",
    node: "This edge", brainState: "Factory's brain", reachable: "reachable", lostSince: "lost since {since}", clock: "Clock offset", clockValue: "{offset} ms ± {uncertainty} ms", unknown: "unknown", journalState: "Journal", journalOk: "healthy; {n} changes wait for the disk", journalBad: "failing: {why}; {n} changes wait; lost sample batches {samples}, lost events {events}",
    kernel: "Kernel", cython: "compiled", python: "pure Python (slower)", site: "Site version", siteSame: "{v} (as desired)", siteOther: "runs {v}, desired {d}: {why}", settings: "Settings version", telemetry: "Samples upward", telemetryValue: "{n} reported, {d} dropped", asked: "; at full rate because the factory asks: {list}", ring: "Full-rate history", ringValue: "{mb} MB of memory, {span} back; disk: {disk}",
    on: "healthy", off: "not used", snippets: "Snippets around raises", snippetsValue: "{p} wait, {s} sent, {k} skipped because there were too many", horn: "Horn", no_lease: "nobody above ever took it over", lease_held: "taken over above", lease_lapsed: "what was taken over above has lapsed", legend: "Legend", helpTitle: "Keyboard",
    keys: [["↑ ↓ Home End", "choose an alarm"], ["A", "acknowledge"], ["C", "confirm"], ["R", "reset"], ["S / U", "shelve / unshelve"], ["O", "out of service / back in service"], ["P", "suppress / unsuppress"], ["X", "disable / enable"], ["M", "comment"], ["T / Enter", "trend"], ["1 2 3 4", "alarms, all, trend, system"], ["L", "中文 / English"], ["?", "this help"]] },
};
const STATES = {
  zh: { normal: "正常", unacknowledged: "未确认", acknowledged: "已确认", rtn_unacknowledged: "已恢复未确认", latched_unacknowledged: "锁存未确认",
    latched_acknowledged: "锁存已确认", shelved: "已搁置", suppressed: "设计抑制", out_of_service: "停用", disabled: "禁用" },
  en: { normal: "normal", unacknowledged: "unacknowledged", acknowledged: "acknowledged", rtn_unacknowledged: "returned, unacknowledged", latched_unacknowledged: "latched, unacknowledged",
    latched_acknowledged: "latched, acknowledged", shelved: "shelved", suppressed: "suppressed by design", out_of_service: "out of service", disabled: "disabled" },
};
const MARKS = { normal: "", unacknowledged: "!", acknowledged: "✓", rtn_unacknowledged: "↩", latched_unacknowledged: "⊓!", latched_acknowledged: "⊓✓", shelved: "≡", suppressed: "⊘", out_of_service: "□", disabled: "✕" };
const SHAPES = { 1: "■", 2: "▲", 3: "▼", 4: "●" };
