package dev.heddle.train.report;

import dev.heddle.train.checkpoint.DurableFiles;
import dev.heddle.train.json.JsonException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code metrics.jsonl}: one JSON object a step, handed to the system after each, so that it can be
 * followed while the run goes on and a kill loses no finished step.
 */
public final class MetricsFile implements AutoCloseable {
  private final Path path;
  private final BufferedWriter writer;

  private MetricsFile(Path path, BufferedWriter writer) {
    this.path = path;
    this.writer = writer;
  }

  /**
   * Starts a file; an earlier one of the same name is replaced.
   *
   * @throws UncheckedIOException when it cannot be written
   */
  public static MetricsFile create(Path path) {
    return open(path, List.of());
  }

  /**
   * Goes on with a file after a resume: steps later than {@code lastStep}, which will be done
   * again, are taken out, and so is a last line that a kill cut short.
   *
   * @param path the file, which need not exist
   * @param lastStep the step of the checkpoint
   * @throws UncheckedIOException when it cannot be read or written
   * @throws JsonException when a line of it is not metrics, with its number
   */
  public static MetricsFile resume(Path path, long lastStep) {
    List<StepMetrics> kept = new ArrayList<>();
    if (Files.exists(path)) {
      read(path).stream().filter(metrics -> metrics.step() <= lastStep).forEach(kept::add);
    }
    return open(path, kept);
  }

  private static MetricsFile open(Path path, List<StepMetrics> kept) {
    try {
      Path folder = path.toAbsolutePath().getParent();
      if (folder != null) {
        Files.createDirectories(folder);
      }
      StringBuilder text = new StringBuilder();
      kept.forEach(metrics -> text.append(metrics.toJson()).append('\n'));
      // At once, so that a kill in between does not lose the steps before a resume.
      DurableFiles.replace(path, text.toString());
      BufferedWriter writer =
          Files.newBufferedWriter(path, StandardCharsets.UTF_8, StandardOpenOption.APPEND);
      return new MetricsFile(path, writer);
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": metrics cannot be written: " + e, e);
    }
  }

  /**
   * Reads a file; a last line without its end, which a kill cut short, is left out.
   *
   * @throws UncheckedIOException when it cannot be read
   * @throws JsonException when a line is not metrics, with its number
   */
  public static List<StepMetrics> read(Path path) {
    String text;
    try {
      text = Files.readString(path);
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": metrics cannot be read: " + e, e);
    }
    List<StepMetrics> steps = new ArrayList<>();
    int begin = 0;
    for (int end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', begin)) {
      try {
        steps.add(StepMetrics.parse(text.substring(begin, end)));
      } catch (JsonException e) {
        throw new JsonException(path + ":" + (steps.size() + 1) + ": " + e.getMessage(), e);
      }
      begin = end + 1;
    }
    return List.copyOf(steps);
  }

  /**
   * Adds a step.
   *
   * @throws UncheckedIOException when it cannot be written
   */
  public void add(StepMetrics metrics) {
    try {
      writer.write(metrics.toJson());
      writer.write('\n');
      writer.flush();
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": metrics cannot be written: " + e, e);
    }
  }

  /** The file. */
  public Path path() {
    return path;
  }

  @Override
  public void close() {
    try {
      writer.close();
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": metrics cannot be written: " + e, e);
    }
  }
}
