"use strict";
// Draws one tag's curve with its limits and the moments of raise; knows nothing of where it comes from.
const PRIORITY_INK = { 1: "#c8102e", 2: "#a4570a", 3: "#7a6400", 4: "#6b4685" };

function trendBounds(trend) {
  const all = [...trend.v.filter((v) => v !== null), ...trend.limits.map((l) => l.limit).filter((l) => l !== null)];
  if (!all.length) return [0, 1];
  let low = Infinity, high = -Infinity;
  for (const v of all) { low = Math.min(low, v); high = Math.max(high, v); }
  const room = (high - low || Math.abs(high) || 1) * 0.1;
  return [low - room, high + room];
}
function niceStep(span, most) {
  const rough = span / most, ten = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * ten).find((step) => step >= rough);
}
/** Draw `trend` ({since, until, t, v, limits}) into the canvas; `label` words times and marks. */
function drawTrend(canvas, trend, label) {
  const ratio = window.devicePixelRatio || 1;
  const wide = canvas.clientWidth || 1200, tall = canvas.clientHeight || 380;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(tall * ratio);
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  c.clearRect(0, 0, wide, tall);
  c.font = "12px system-ui, sans-serif";
  const left = 64, right = wide - 14, top = 14, bottom = tall - 26;
  const [low, high] = trendBounds(trend);
  const x = (at) => left + ((at - trend.since) / (trend.until - trend.since)) * (right - left);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  const line = (x1, y1, x2, y2) => { c.beginPath(); c.moveTo(x1, y1); c.lineTo(x2, y2); c.stroke(); };
  c.strokeStyle = "#c3c7ca"; c.fillStyle = "#4d555b"; c.lineWidth = 1;
  const step = niceStep(high - low, 6);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    line(left, y(value), right, y(value));
    c.textAlign = "right";
    c.fillText(String(Number(value.toPrecision(6))), left - 6, y(value) + 4);
  }
  const every = (trend.until - trend.since) / 6;
  for (let i = 0; i <= 6; i++) {
    const at = trend.since + i * every;
    c.textAlign = i === 0 ? "left" : i === 6 ? "right" : "center";
    c.fillText(label.time(at), x(at), tall - 8);
  }
  c.save();
  c.beginPath(); c.rect(left, top, right - left, bottom - top); c.clip();
  c.strokeStyle = "#14446e"; c.lineWidth = 1.6; c.lineJoin = "round";
  c.beginPath();
  let drawing = false;
  trend.t.forEach((at, i) => {
    const value = trend.v[i];
    if (value === null) { drawing = false; return; }
    if (drawing) c.lineTo(x(at), y(value)); else c.moveTo(x(at), y(value));
    drawing = true;
  });
  c.stroke();
  if (trend.t.length === 1 && trend.v[0] !== null) c.fillRect(x(trend.t[0]) - 2, y(trend.v[0]) - 2, 4, 4);
  c.textAlign = "left";
  for (const limit of trend.limits) {
    c.strokeStyle = c.fillStyle = PRIORITY_INK[limit.priority] || "#22282c";
    c.lineWidth = 1.2;
    if (limit.limit !== null) {
      c.setLineDash([6, 4]);
      line(left, y(limit.limit), right, y(limit.limit));
      const held = label.filter ? label.filter(limit) : "";
      c.fillText(`${limit.side} ${limit.limit}${held ? ` (${held})` : ""}`, left + 6, y(limit.limit) - 4);
    }
    if (limit.raised_at && limit.raised_at >= trend.since && limit.raised_at <= trend.until) {
      c.setLineDash([]);
      line(x(limit.raised_at), top, x(limit.raised_at), bottom);
      const words = `▲ ${limit.side || ""} ${label.raised}`, room = c.measureText(words).width + 6;
      const start = x(limit.raised_at) + room > right ? x(limit.raised_at) - room : x(limit.raised_at) + 4;
      c.fillText(words, start, bottom - 6 - 14 * (limit.priority - 1));
    }
  }
  c.restore();
  canvas.dataset.points = String(trend.t.length);
  canvas.dataset.limits = String(trend.limits.filter((l) => l.limit !== null).length);
  canvas.dataset.raises = String(trend.limits.filter((l) => l.raised_at >= trend.since && l.raised_at <= trend.until).length);
}
