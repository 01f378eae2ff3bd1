package dev.heddle.jmh.bench;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import dev.heddle.train.report.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What was measured of one release: the file {@code docs/timings/RELEASE.json}. Ratios of several
 * releases can be compared, where they were taken on one kind of machine; times cannot.
 *
 * @param release the release's name, which the file's is
 * @param date when it was last added to, such as {@code 2026-11-26}
 * @param commit what was measured
 * @param machine processor, cores, JDK and oneDNN
 * @param rows what was measured, in order
 */
record Timings(String release, String date, String commit, String machine, List<Row> rows) {
  Timings {
    rows = List.copyOf(rows);
    if (!release.matches("[A-Za-z0-9][A-Za-z0-9._-]*")) {
      throw new IllegalArgumentException(
          "release "
              + release
              + ": wanted letters, digits, dots, dashes and underscores, since a file is named after"
              + " it");
    }
  }

  /** This machine in words. */
  static String thisMachine() throws IOException {
    String processor = System.getProperty("os.arch");
    Path information = Path.of("/proc/cpuinfo");
    if (Files.isReadable(information)) {
      processor =
          Files.readAllLines(information).stream()
              .filter(line -> line.startsWith("model name"))
              .map(line -> line.substring(line.indexOf(':') + 1).strip())
              .findFirst()
              .orElse(processor);
    }
    return processor
        + "; "
        + Machine.processor().stream()
            .filter(finding -> !finding.name().equals("oneDNN"))
            .map(finding -> finding.name() + " " + finding.state())
            .collect(Collectors.joining("; "));
  }

  /** These with rows that were measured since: a row of the same name takes the old one's place. */
  Timings with(List<Row> newer, String newDate, String newCommit, String newMachine) {
    Map<String, Row> merged = new LinkedHashMap<>();
    rows.forEach(row -> merged.put(identity(row), row));
    newer.forEach(row -> merged.put(identity(row), row));
    return new Timings(release, newDate, newCommit, newMachine, List.copyOf(merged.values()));
  }

  private static String identity(Row row) {
    return row.name() + "|" + row.threads() + "|" + row.dtype() + "|" + family(row.peerName());
  }

  /** One row may be measured beside both ways to libtorch; which of a way's variants won varies. */
  private static String family(String peerName) {
    return peerName.contains("DJL") ? "DJL" : "";
  }

  /** The file of a release. */
  static Path file(Path folder, String release) {
    return folder.resolve(release + ".json");
  }

  /** Reads one; empty ones of that name if there is no file. */
  static Timings readOrEmpty(Path folder, String release) throws IOException {
    Path file = file(folder, release);
    return Files.exists(file) ? read(file) : new Timings(release, "", "", "", List.of());
  }

  /** All of a folder, by date and then by name. */
  static List<Timings> readAll(Path folder) throws IOException {
    List<Timings> all = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(each -> each.toString().endsWith(".json")).toList()) {
        all.add(read(file));
      }
    }
    all.sort(Comparator.comparing(Timings::date).thenComparing(Timings::release));
    return all;
  }

  private static Timings read(Path file) throws IOException {
    try {
      Map<String, @Nullable Object> map = Json.parseObject(Files.readString(file));
      return new Timings(
          Json.text(map.get("release"), "release"),
          Json.text(map.get("date"), "date"),
          Json.text(map.get("commit"), "commit"),
          Json.text(map.get("machine"), "machine"),
          Json.list(map.get("rows"), "rows").stream()
              .map(row -> Row.of(Json.object(row, "row")))
              .toList());
    } catch (JsonException | IllegalArgumentException unreadable) {
      throw new IOException(
          file + " is no file of timings: " + unreadable.getMessage(), unreadable);
    }
  }

  /** Writes the file, whole or not at all. */
  void write(Path folder) throws IOException {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    map.put("release", release);
    map.put("date", date);
    map.put("commit", commit);
    map.put("machine", machine);
    map.put("rows", rows.stream().map(Row::json).toList());
    Files.createDirectories(folder);
    Path partial = folder.resolve(release + ".json.part");
    // A row a line, so that a difference of two versions can be read.
    Files.writeString(partial, Json.write(map).replace("{\"name\"", "\n{\"name\"") + "\n");
    Files.move(
        partial,
        file(folder, release),
        StandardCopyOption.REPLACE_EXISTING,
        StandardCopyOption.ATOMIC_MOVE);
  }
}
