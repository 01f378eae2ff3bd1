package dev.heddle.jmh.bench;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Predicate;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.CategorySeries;
import org.knowm.xchart.style.Styler;

/**
 * Timings of releases as pictures, {@code steps.png} and {@code parts.png}: ours by the peer's, a
 * mark for each release and a line through those of one row, with a line at 1 where the peer is.
 */
final class TimingsPlot {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 480;
  private static final String PEER = "the peer";

  private TimingsPlot() {}

  /**
   * Writes both pictures.
   *
   * @param releases in the order of their marks; at least one
   */
  static void draw(List<Timings> releases, Path folder) throws IOException {
    // No window is opened, so none is needed.
    System.setProperty("java.awt.headless", "true");
    save(
        chart("Training steps beside libtorch", "time, ours by the peer's", releases),
        folder.resolve("steps"),
        releases,
        series(releases, TimingsPlot::step));
    save(
        chart("Parts: medians of their rows", "ours by the peer's", releases),
        folder.resolve("parts"),
        releases,
        series(releases, TimingsPlot::part));
  }

  /** By series, the ratio of each release; no entry where it was not measured. */
  static SortedMap<String, Map<String, Double>> series(
      List<Timings> releases, Function<Row, String> seriesOf) {
    SortedMap<String, Map<String, Double>> series = new TreeMap<>();
    for (Timings timings : releases) {
      Map<String, List<Double>> ratios = new LinkedHashMap<>();
      for (Row row : timings.rows()) {
        String name = seriesOf.apply(row);
        if (!name.isEmpty() && Double.isFinite(row.ratio())) {
          ratios.computeIfAbsent(name, key -> new ArrayList<>()).add(row.ratio());
        }
      }
      ratios.forEach(
          (name, all) ->
              series
                  .computeIfAbsent(name, key -> new LinkedHashMap<>())
                  .put(timings.release(), median(all)));
    }
    return series;
  }

  private static double median(Collection<Double> values) {
    return Medians.of(values.stream().mapToDouble(Double::doubleValue).toArray());
  }

  /** The series of a step beside libtorch through JavaCPP; empty for other rows. */
  static String step(Row row) {
    return switch (row.name()) {
      case "gpt", "vit", "vlm", "vlm-scored" ->
          row.peerName().contains("DJL")
              ? ""
              : row.name() + " " + row.dtype() + ", threads: " + row.threads();
      default -> "";
    };
  }

  /** The part of Heddle that a row is about; empty for whole steps. */
  static String part(Row row) {
    Predicate<String> begins = row.name()::startsWith;
    if (row.unit().equals("MiB")) {
      return "memory of steps";
    }
    // Strategies stand beside the direct one, not beside a peer.
    boolean isBesideOurs = row.peerName().startsWith("Heddle, strategy");
    boolean isSecondCopy = row.peerName().equals(BoundaryRows.BETWEEN_RANKS);
    if (!step(row).isEmpty() || isBesideOurs || isSecondCopy || row.peerName().contains("DJL")) {
      return "";
    }
    if (begins.test("boundary")) {
      return "boundaries, beside a copy";
    }
    if (begins.test("all-") || begins.test("reduce-")) {
      return "collectives, beside Open MPI";
    }
    if (begins.test("product in Java")) {
      return "products in Java, beside oneDNN";
    }
    if (begins.test("start")) {
      return "start, beside 3 s";
    }
    if (row.name().contains("dp 2")) {
      return "two ranks, beside two threads";
    }
    return row.name().contains("AdamW") ? "AdamW" : "operators";
  }

  private static CategoryChart chart(String title, String axis, List<Timings> releases) {
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle(releases.size() == 1 ? "release" : "releases")
            .yAxisTitle(axis)
            .build();
    chart.getStyler().setDefaultSeriesRenderStyle(CategorySeries.CategorySeriesRenderStyle.Line);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    // All marks of a release stand above its name.
    chart.getStyler().setOverlapped(true);
    chart.getStyler().setYAxisMin(0.0);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setPlotBorderVisible(false);
    return chart;
  }

  private static void save(
      CategoryChart chart,
      Path file,
      List<Timings> releases,
      SortedMap<String, Map<String, Double>> series)
      throws IOException {
    List<String> names = releases.stream().map(Timings::release).toList();
    for (Map.Entry<String, Map<String, Double>> each : series.entrySet()) {
      chart.addSeries(
          each.getKey(),
          names,
          names.stream().map(name -> each.getValue().getOrDefault(name, Double.NaN)).toList());
    }
    CategorySeries peer = chart.addSeries(PEER, names, names.stream().map(name -> 1.0).toList());
    peer.setLineColor(Color.BLACK);
    peer.setMarkerColor(Color.BLACK);
    BitmapEncoder.saveBitmap(chart, file.toString(), BitmapFormat.PNG);
  }
}
