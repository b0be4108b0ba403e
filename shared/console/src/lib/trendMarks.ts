// Draws limit line and moments into a uPlot chart.
import type uPlot from "uplot";

export interface Marks {
  limit: number | null;
  limitName: string;
  /** The name stands at the right end: a second limit close by has the left one. */
  right?: boolean;
  ink: string;
  times: { at: number; label: string; color: string }[];
}

/** A plug-in that asks for the marks at each drawing. */
export function marksPlugin(read: () => Marks): uPlot.Plugin {
  return {
    hooks: {
      draw: (u) => {
        const marks = read();
        const { ctx, bbox } = u;
        const ratio = devicePixelRatio;
        ctx.save();
        ctx.font = `${11 * ratio}px system-ui`;
        // The axes leave their own alignment behind.
        ctx.textAlign = "left";
        ctx.textBaseline = "alphabetic";
        ctx.lineWidth = ratio;
        for (const mark of marks.times) {
          const x = u.valToPos(mark.at, "x", true);
          if (x < bbox.left || x > bbox.left + bbox.width) continue;
          ctx.strokeStyle = mark.color;
          line(ctx, x, bbox.top, x, bbox.top + bbox.height);
          ctx.fillStyle = marks.ink;
          const wide = ctx.measureText(mark.label).width + 6 * ratio;
          const left = x + wide > bbox.left + bbox.width ? x - wide : x + 4 * ratio;
          ctx.fillText(mark.label, left, bbox.top + bbox.height - 5 * ratio);
        }
        if (marks.limit !== null) {
          const y = u.valToPos(marks.limit, "y", true);
          ctx.strokeStyle = marks.ink;
          ctx.setLineDash([5 * ratio, 4 * ratio]);
          line(ctx, bbox.left, y, bbox.left + bbox.width, y);
          ctx.fillStyle = marks.ink;
          const wide = ctx.measureText(marks.limitName).width;
          const x = marks.right ? bbox.left + bbox.width - wide - 4 * ratio : bbox.left + 4 * ratio;
          ctx.fillText(marks.limitName, x, y - 4 * ratio);
        }
        ctx.restore();
      },
    },
  };
}

function line(c: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  c.beginPath();
  c.moveTo(x1, y1);
  c.lineTo(x2, y2);
  c.stroke();
}
