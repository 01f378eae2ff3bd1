package dev.heddle.train.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The checkpoints of one run, each a folder, the last few kept.
 *
 * <p>A checkpoint is written into a folder with a leading dot, every file synced, then the folder
 * renamed. So a process that dies at any moment leaves all finished checkpoints whole, and at most
 * one dotted folder that the next save removes. A finished checkpoint is never written again. Names
 * count up ({@code 0001-step-00000050}), so that the newest is known even when a run starts over in
 * the same folder or resumes from an older step.
 *
 * <p>One process at a time may save into a folder; any number may read.
 */
public final class CheckpointStore {
  private static final Pattern NAME = Pattern.compile("(\\d{4,9})-step-(\\d{1,18})");
  private static final String UNFINISHED = ".unfinished-";
  private static final String LEAVING = ".leaving-";

  private final Path folder;
  private final int keep;

  /** Fills a draft with files. */
  @FunctionalInterface
  public interface Writer {
    /**
     * Adds everything that the checkpoint holds.
     *
     * @throws IOException when the disk refuses
     */
    void write(CheckpointDraft draft) throws IOException;
  }

  private record Found(Path path, int number) {}

  /**
   * A store in a folder, which is made when the first checkpoint is.
   *
   * @param folder where the checkpoints are
   * @param keep how many are kept, at least 1
   */
  public CheckpointStore(Path folder, int keep) {
    if (keep < 1) {
      throw new IllegalArgumentException("keep is " + keep + ", at least 1 checkpoint is kept");
    }
    this.folder = folder;
    this.keep = keep;
  }

  /** The folder that a run keeps its checkpoints in. */
  public static Path folderOf(Path runFolder) {
    return runFolder.resolve("checkpoints");
  }

  /**
   * Writes a checkpoint. When this returns, it survives the end of the process and of the power.
   *
   * @param step the optimizer step after which it is taken
   * @param writer adds the files
   * @return the checkpoint's folder
   * @throws UncheckedIOException when the disk refuses; earlier checkpoints are untouched
   */
  public Path save(long step, Writer writer) {
    Path draftFolder = folder.resolve(UNFINISHED + step);
    try {
      DurableFiles.createFolders(folder);
      removeLeftovers();
      Files.createDirectory(draftFolder);
      CheckpointDraft draft = new CheckpointDraft(draftFolder);
      writer.write(draft);
      draft.finish(step);
      Path finished = nextName(step);
      Files.move(draftFolder, finished, StandardCopyOption.ATOMIC_MOVE);
      DurableFiles.syncFolder(folder);
      removeOldest();
      return finished;
    } catch (IOException e) {
      throw new UncheckedIOException(
          draftFolder + ": cannot be written: " + e + "; earlier checkpoints are untouched", e);
    }
  }

  /** The folders of the finished checkpoints, oldest first. */
  public List<Path> list() {
    return found().stream().map(Found::path).toList();
  }

  /** The folder of the newest finished checkpoint, if there is one. */
  public Optional<Path> newest() {
    List<Path> all = list();
    return all.isEmpty() ? Optional.empty() : Optional.of(all.getLast());
  }

  /**
   * Opens what {@code --resume} names: one checkpoint, a folder of checkpoints, or a run's folder.
   * The newest is taken; when it is damaged it is refused, for going on from an older one silently
   * would repeat work without saying so.
   *
   * @throws CheckpointException when there is none or its newest cannot be read
   */
  public static Checkpoint resume(Path path) {
    if (!Files.isDirectory(path)) {
      throw new CheckpointException(
          path,
          Files.exists(path)
              ? "not a folder; name the output folder of a run"
              : "there is no such folder; name the output folder of a run");
    }
    if (Files.exists(path.resolve(Manifest.NAME)) || NAME.matcher(name(path)).matches()) {
      return Checkpoint.open(path);
    }
    Path folder = Files.isDirectory(folderOf(path)) ? folderOf(path) : path;
    List<Path> all = new CheckpointStore(folder, 1).list();
    if (all.isEmpty()) {
      throw new CheckpointException(
          path,
          "there is no finished checkpoint in it (NUMBER-step-STEP with " + Manifest.NAME + ")");
    }
    try {
      return Checkpoint.open(all.getLast());
    } catch (CheckpointException e) {
      String hint =
          all.size() == 1
              ? "; there is no other checkpoint"
              : "; the one before it is " + all.get(all.size() - 2);
      throw new CheckpointException(all.getLast(), "damaged (" + e.getMessage() + ")" + hint, e);
    }
  }

  private static String name(Path path) {
    Path last = path.toAbsolutePath().normalize().getFileName();
    return last == null ? "" : last.toString();
  }

  private List<Found> found() {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> paths = Files.list(folder)) {
      return paths
          .flatMap(path -> parse(path).stream())
          .sorted(Comparator.comparingInt(Found::number))
          .toList();
    } catch (IOException e) {
      throw new CheckpointException(folder, "cannot be listed: " + e, e);
    }
  }

  private static Optional<Found> parse(Path path) {
    Matcher matcher = NAME.matcher(name(path));
    if (!matcher.matches()) {
      return Optional.empty();
    }
    return Optional.of(new Found(path, Integer.parseInt(matcher.group(1))));
  }

  private Path nextName(long step) {
    List<Found> all = found();
    int number = all.isEmpty() ? 1 : all.getLast().number() + 1;
    return folder.resolve("%04d-step-%08d".formatted(number, step));
  }

  private void removeOldest() throws IOException {
    List<Found> all = found();
    for (Found old : all.subList(0, Math.max(0, all.size() - keep))) {
      // Renamed first: a half-deleted folder must not look like a checkpoint.
      Path leaving = folder.resolve(LEAVING + name(old.path()));
      Files.move(old.path(), leaving, StandardCopyOption.ATOMIC_MOVE);
      DurableFiles.deleteFolder(leaving);
    }
  }

  private void removeLeftovers() throws IOException {
    try (Stream<Path> paths = Files.list(folder)) {
      for (Path path : paths.toList()) {
        if (name(path).startsWith(UNFINISHED) || name(path).startsWith(LEAVING)) {
          DurableFiles.deleteFolder(path);
        }
      }
    }
  }
}
