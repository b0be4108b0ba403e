"""What each of the product's own conditions is called, how urgent it is, and what to do about it.

Read by the system alarms and by the banner; every code that a part reports belongs here, in both
languages. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.web.dto import ResponseSheet, Text

SYSTEM_TAG = "system"
PREFIX = "system."


@dataclass(frozen=True, slots=True)
class SystemWords:
    """One code."""

    priority: int
    name: Text
    cause: Text
    action: Text

    @property
    def keeps(self) -> bool:
        """Urgent: it sounds, and stays in the list until somebody has acknowledged it."""
        return self.priority <= 2

    @property
    def sheet(self) -> ResponseSheet:
        """What people are to know and do."""
        return ResponseSheet(cause=self.cause, consequence=_CONSEQUENCE, action=self.action)


_CONSEQUENCE = Text(
    zh="Andon 自身受影响；现场报警在边缘仍然有效。",
    en="Andon itself is affected; the plant's alarms still work at their edges.",
)


def _words(
    priority: int, name: tuple[str, str], cause: tuple[str, str], do: tuple[str, str]
) -> SystemWords:
    told = [Text(zh=zh, en=en) for zh, en in (name, cause, do)]
    return SystemWords(priority, *told)


SYSTEM_WORDS: dict[str, SystemWords] = {
    "edge_silent": _words(
        1, ("边缘节点无心跳", "edge is silent"),
        ("断电、断网或进程停止", "no power, no network, or its process has ended"),
        ("查看现场：边缘页面、网络、电源；它恢复前以现场蜂鸣为准",
         "go and look: edge page, network, power; until it is back its own horn is what counts"),
    ),
    "backlog_growing": _words(
        2, ("边缘积压未送达", "backlog of an edge grows"),
        ("链路慢或工厂侧写入慢", "a slow link, or the factory stores slowly"),
        ("检查链路带宽和数据库负载；数据不会丢失，只是迟到",
         "look at the link's bandwidth and the database's load; nothing is lost, it comes late"),
    ),
    "clock_drift": _words(
        3, ("时钟偏差", "clock is off"),
        ("边缘或工厂的时间同步失效", "time synchronisation has failed at the edge or here"),
        ("修复 NTP/PTP；在此之前不要依赖毫秒级先后",
         "mend NTP or PTP; do not rely on the order of close events until then"),
    ),
    "clock_leap": _words(
        2, ("时钟跳变，旧数据暂不删除", "clock has leapt, old data is kept"),
        ("服务器时钟向前跳了多日，或系统停运超过一周",
         "the server's clock has leapt ahead by days, or nothing ran for over a week"),
        ("核对服务器时间；时间正确则无需处理，运行一周后自动消失",
         "check the server's time; if it is right, do nothing: this goes after a week of running"),
    ),
    "change_untold": _words(
        2, ("已保存的变更未能通知后续处理", "a stored change was not told on"),
        ("界面、流程或通知的某一部分反复出错；事件本身已保存",
         "a screen's, a playbook's or another part failed again and again; the event is stored"),
        ("核对报警列表与现场是否一致；把日志 after_commit_given_up 交给支持人员",
         "hold the alarm list against the plant; give support `after_commit_given_up` of the log"),
    ),
    "disk_full": _words(
        1, ("磁盘将满", "disk nearly full"),
        ("日志、数据库或其他程序占满磁盘", "logs, the database or something else fills it"),
        ("清理或扩容；缩短保留天数（settings）", "make room or enlarge it; keep fewer days"),
    ),
    "consumer_behind": _words(
        3, ("事件处理落后", "event consumer is behind"),
        ("某个后续处理（通知、联动、转发）慢或停止",
         "something that follows the journal (notices, links, sinks) is slow or has stopped"),
        ("查看 /metrics 与日志中该名称的任务",
         "look for the task of that name in /metrics and in the logs"),
    ),
    "database_slow": _words(
        2, ("数据库变慢", "database is slow"),
        ("负载高、磁盘慢或长事务", "load, a slow disk or a long transaction"),
        ("检查 PostgreSQL 活动与磁盘", "look at PostgreSQL's activity and its disk"),
    ),
    "database_unwritable": _words(
        1, ("数据库无法写入", "database takes no writes"),
        ("数据库停止、只读或磁盘已满", "it is down, read-only, or its disk is full"),
        ("恢复数据库；蜂鸣已交还边缘，事件在边缘缓存",
         "bring it back; the horn is with the edges, which keep the events"),
    ),
    "bus_cut": _words(
        1, ("消息总线断开", "message bus is cut"),
        ("本地 NATS 停止或拒绝登录", "the local NATS server is down or refuses the login"),
        ("检查 NATS 服务及其日志", "look at the NATS server and its log"),
    ),
    "notification_failed": _words(
        2, ("通知发送失败", "notification failed"),
        ("渠道不可达或被拒绝", "the channel cannot be reached or refuses"),
        ("改用其他方式联系值班人员，再查投递日志",
         "reach the person on duty another way, then read the delivery log"),
    ),
    "link_failed": _words(
        3, ("联动系统不可达", "linked system cannot be told"),
        ("对方离线或拒绝", "it is off line or refuses"),
        ("查看联动页的死信并重放", "look at the dead letters on the links page, replay them"),
    ),
    "sink_behind": _words(
        3, ("北向转发落后", "northbound sink is behind"),
        ("目标慢或离线；数据保留并会补发",
         "it is slow or off line; what is due is kept and sent later"),
        ("检查目标系统", "look at the target system"),
    ),
    "history_disk_failed": _words(
        2, ("边缘历史磁盘故障", "edge history disk failed"),
        ("边缘磁盘写不进", "the edge's disk takes no writes"),
        ("更换或清理边缘磁盘", "replace the edge's disk or make room"),
    ),
    "journal_degraded": _words(
        1, ("边缘日志降级", "edge journal degraded"),
        ("边缘磁盘故障，变更只在内存中", "the edge's disk fails: changes are in memory only"),
        ("不要断电；更换或清理磁盘", "do not power it off; replace the disk or make room"),
    ),
    "change_refused": _words(
        2, ("边缘有无法保存的记录", "edge set a record aside"),
        ("记录内容无法写入", "its content can never be stored"),
        ("把边缘数据库的 refused 表交给支持人员", "give table `refused` of the edge to support"),
    ),
    "frame_forged": _words(
        1, ("收到伪造的消息", "forged messages received"),
        ("有人用他人的名义发送", "somebody sends in another's name"),
        ("检查凭据和网络；通知信息安全", "check credentials and network; tell security"),
    ),
    "site_refused": _words(
        3, ("站点文件有误，旧版本继续运行", "site files faulty, the last good runs"),
        ("最近的修改有错误", "the last change has a mistake"),
        ("运行 andon site check 并改正", "run `andon site check` and mend what it says"),
    ),
    "keys_missing": _words(
        2, ("缺少公钥，拒绝下发的设置", "no keys: settings from above are refused"),
        ("公钥文件缺失或损坏", "a public key is missing or damaged"),
        ("放回公钥文件并重启边缘", "put the keys back and restart the edge"),
    ),
    "tuning_out_of_bounds": _words(
        3, ("整定值超出允许范围", "tuned settings outside their bounds"),
        ("站点文件的范围改变了", "the bounds in the site's files have changed"),
        ("检查该报警的设置与范围", "look at the alarm's settings and bounds"),
    ),
    "driver_failed": _words(
        2, ("数据源中断", "data source failed"),
        ("设备离线、地址或凭据错误", "the device is off, or its address or login is wrong"),
        ("检查设备、网线和驱动设置", "check device, cable and the driver's settings"),
    ),
    "audit_broken": _words(
        1, ("审计日志被改动", "audit log tampered with"),
        ("有人绕过保护修改了数据库", "somebody changed the database behind its guards"),
        ("保全数据库，运行 andon audit verify", "preserve the database, run `andon audit verify`"),
    ),
}  # fmt: skip


def words_of(code: str) -> SystemWords:
    """The words of a code; one that is not known yet still shows by its name."""
    known = SYSTEM_WORDS.get(code)
    if known is not None:
        return known
    empty = Text()
    return SystemWords(3, Text(zh=code, en=code), empty, empty)


def alarm_of(source: str, code: str) -> str:
    """The id of a condition in the alarm list."""
    return f"{PREFIX}{source}.{code}"


def is_system(alarm: str) -> bool:
    """Whether an alarm of the list is one of the product's own conditions."""
    return alarm.startswith(PREFIX)


def system_sounds(alarm: str) -> bool:
    """Whether the horn is for it: the urgent ones of the product's own conditions."""
    return is_system(alarm) and words_of(alarm.rpartition(".")[2]).keeps


def sheet_of(alarm: str) -> ResponseSheet | None:
    """The response sheet of one of the product's own conditions."""
    return words_of(alarm.rpartition(".")[2]).sheet if is_system(alarm) else None


def title(source: str, code: str, params: dict[str, Any]) -> Text:
    """What the list and the banner say: where, what, and which source or file."""
    name = words_of(code).name
    told = str(params.get("subject") or params.get("faults") or "").partition("\n")[0]
    more = f" ({told[:160]})" if told else ""
    return Text(zh=f"{source}：{name.zh}{more}", en=f"{source}: {name.en}{more}")
