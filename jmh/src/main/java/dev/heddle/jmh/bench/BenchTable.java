package dev.heddle.jmh.bench;

import dev.heddle.jmh.boundary.Volume;
import dev.heddle.train.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Rows as text for a person and as a file for a program. */
final class BenchTable {
  private static final String FORMAT = "%-64s %3s %-13s %10s %10s %-4s %6s %6s  %s";

  private BenchTable() {}

  static String header() {
    return String.format(
        FORMAT, "name", "thr", "dtype", "ours", "peer", "unit", "ratio", "goal", "peer's name");
  }

  /** One row; {@code <} before the peer's name marks a ratio above the goal. */
  static String line(Row row) {
    return String.format(
        Locale.ROOT,
        FORMAT,
        row.name(),
        row.threads(),
        row.dtype(),
        number(row.ours()),
        number(row.peer()),
        row.unit(),
        String.format(Locale.ROOT, "%.2f", row.ratio()),
        Double.isNaN(row.target()) ? "" : String.format(Locale.ROOT, "%.2f", row.target()),
        (row.isBehind() ? "< " : "  ") + row.peerName() + moved(row));
  }

  /** Of a boundary: how fast the rank with most writes, and what is sent for what must be. */
  private static String moved(Row row) {
    Volume volume = row.volume();
    if (volume == null) {
      return "";
    }
    String least =
        volume.least() == 0
            ? "where none must be"
            : String.format(Locale.ROOT, "%.2f of the least", volume.sentOfLeast());
    return String.format(
        Locale.ROOT,
        "; %.1f GB/s, %,d bytes sent, %s",
        volume.gigabytesPerSecond(row.ours()),
        volume.sent(),
        least);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, value < 100 ? "%.2f" : "%.0f", value);
  }

  /** An array of objects, one a row. */
  static void write(Path file, List<Row> rows) throws IOException {
    Path folder = file.toAbsolutePath().getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    Files.writeString(file, Json.write(rows.stream().map(Row::json).toList()) + "\n");
  }
}
