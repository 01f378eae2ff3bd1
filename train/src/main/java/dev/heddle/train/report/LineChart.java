package dev.heddle.train.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A curve over the steps as inline SVG. Colours come from the page's style sheet, so that a chart
 * follows light and dark; no font is measured, so that it needs no display and no fonts on the
 * machine that draws it.
 */
final class LineChart {
  private static final int WIDTH = 640;
  private static final int HEIGHT = 260;
  private static final int LEFT = 64;
  private static final int RIGHT = 14;
  private static final int TOP = 14;
  private static final int BOTTOM = 34;
  private static final int MOST_POINTS = 600;

  private final String title;
  private final double[] x;
  private final double[] y;
  private final boolean fromZero;
  private final boolean smoothed;

  /**
   * A chart.
   *
   * @param title what the curve is, for readers who cannot see it
   * @param x ascending
   * @param y values; those that are not finite interrupt the curve
   * @param fromZero whether the vertical axis begins at 0
   * @param smoothed whether the mean over nearby steps is drawn on top
   */
  LineChart(String title, double[] x, double[] y, boolean fromZero, boolean smoothed) {
    this.title = title;
    this.x = x.clone();
    this.y = y.clone();
    this.fromZero = fromZero;
    this.smoothed = smoothed;
  }

  String toSvg() {
    double low = fromZero ? 0 : Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (double value : y) {
      if (Double.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (!(high >= low)) {
      return "<p class=\"empty\">" + Html.escape(title) + ": nothing to draw</p>\n";
    }
    List<Double> ticks = ticks(low, high > low ? high : low + Math.max(1e-9, Math.abs(low)), 5);
    low = ticks.getFirst();
    high = ticks.getLast();
    double first = x[0];
    double last = x[x.length - 1] > first ? x[x.length - 1] : first + 1;

    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, HEIGHT, Html.escape(title)));
    for (double tick : ticks) {
      double at = vertical(tick, low, high);
      line(svg, "grid", LEFT, at, WIDTH - RIGHT, at);
      text(svg, "end", LEFT - 8, at + 4, number(tick));
    }
    for (double tick : ticks(first, last, 6)) {
      if (tick >= first && tick <= last) {
        double at = horizontal(tick, first, last);
        line(svg, "tick", at, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 4);
        text(svg, "middle", at, HEIGHT - BOTTOM + 18, number(tick));
      }
    }
    text(svg, "end", LEFT - 8, HEIGHT - BOTTOM + 18, "step");
    curves(svg, low, high, first, last);
    return svg.append("</svg>\n").toString();
  }

  /** The measured values thin; on top, where they are noisy, their mean over nearby steps. */
  private void curves(StringBuilder svg, double low, double high, double first, double last) {
    path(svg, smoothed ? "values" : "mean", y, low, high, first, last);
    if (smoothed) {
      path(svg, "mean", nearbyMean(), low, high, first, last);
    }
  }

  // Centred, so that the curve does not lag behind the values.
  private double[] nearbyMean() {
    int reach = y.length / 40;
    double[] mean = new double[y.length];
    for (int i = 0; i < y.length; i++) {
      double sum = 0;
      int count = 0;
      for (int j = Math.max(0, i - reach); j <= Math.min(y.length - 1, i + reach); j++) {
        if (Double.isFinite(y[j])) {
          sum += y[j];
          count++;
        }
      }
      mean[i] = Double.isFinite(y[i]) ? sum / count : Double.NaN;
    }
    return mean;
  }

  private void path(
      StringBuilder svg,
      String style,
      double[] values,
      double low,
      double high,
      double first,
      double last) {
    int stride = Math.max(1, values.length / MOST_POINTS);
    StringBuilder path = new StringBuilder();
    boolean drawing = false;
    for (int i = 0; i < values.length; i++) {
      if (i % stride != 0 && i != values.length - 1) {
        continue;
      }
      if (!Double.isFinite(values[i])) {
        drawing = false;
        continue;
      }
      path.append(
          String.format(
              Locale.ROOT,
              "%s%.1f %.1f",
              drawing ? "L" : "M",
              horizontal(x[i], first, last),
              vertical(values[i], low, high)));
      drawing = true;
    }
    svg.append("<path class=\"%s\" d=\"%s\"/>\n".formatted(style, path));
  }

  private static double horizontal(double value, double first, double last) {
    return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT);
  }

  private static double vertical(double value, double low, double high) {
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
  }

  private static void line(
      StringBuilder svg, String style, double x1, double y1, double x2, double y2) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>%n",
            style,
            x1,
            y1,
            x2,
            y2));
  }

  private static void text(StringBuilder svg, String anchor, double x, double y, String text) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>%n",
            anchor,
            x,
            y,
            Html.escape(text)));
  }

  /** Round numbers (1, 2 or 5 times a power of ten apart) around a range. */
  static List<Double> ticks(double low, double high, int wanted) {
    double raw = (high - low) / wanted;
    double power = Math.pow(10, Math.floor(Math.log10(raw)));
    double factor = raw / power;
    double distance = power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
    List<Double> ticks = new ArrayList<>();
    long begin = (long) Math.floor(low / distance + 1e-9);
    long end = (long) Math.ceil(high / distance - 1e-9);
    for (long i = begin; i <= end; i++) {
      ticks.add(i * distance);
    }
    return ticks;
  }

  private static String number(double value) {
    double size = Math.abs(value);
    if (size >= 1e6) {
      return String.format(Locale.ROOT, "%.3g", value / 1e6) + " M";
    }
    if (size != 0 && size < 1e-3) {
      return String.format(Locale.ROOT, "%.1e", value).replace(".0e", "e");
    }
    String text = String.format(Locale.ROOT, size >= 100 ? "%,.0f" : "%.3f", value);
    return text.contains(".") ? text.replaceAll("\\.?0+$", "") : text;
  }
}
