// The editor's own words in Chinese; in English they are as they come.
export const PHRASES: Record<string, string> = {
  Completions: "补全", Diagnostics: "检查结果", "No diagnostics": "没有问题", Find: "查找", Replace: "替换为",
  next: "下一处", previous: "上一处", all: "全部", "match case": "区分大小写", regexp: "正则", "by word": "整词",
  replace: "替换", "replace all": "全部替换", close: "关闭", "Go to line": "跳到行", go: "跳转",
  "current match": "当前匹配", "on line": "在行", "replaced match on line $": "已替换第 $ 行的匹配",
  "replaced $ matches": "已替换 $ 处", "Selection deleted": "已删除所选", "Control character": "控制字符",
  "folded code": "已折叠", unfold: "展开", to: "到", "Folded lines": "已折叠的行", "Unfolded lines": "已展开的行",
  "Fold line": "折叠", "Unfold line": "展开",
};
