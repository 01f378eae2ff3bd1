package dev.heddle.train.run;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.trace.TraceFile;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.parallel.trace.TracingCommunicator;
import dev.heddle.runtime.Device;
import dev.heddle.train.checkpoint.DurableFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Traces one rank's part of a run, if asked to. */
final class RunTrace {
  private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

  private RunTrace() {}

  /** Makes the folder of a trace that will be written in the end, so that a run is not wasted. */
  static void checkWritable(Path file) {
    Path folder = file.toAbsolutePath().normalize().getParent();
    try {
      if (folder == null || Files.isDirectory(file)) {
        throw new IOException("--trace " + file + ": accepted: the name of a file");
      }
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Runs {@code training}; every rank of {@code world} calls this together.
   *
   * @param file where rank 0 puts the trace of all ranks, whole or not at all; null not to trace
   * @param training is given the world to communicate in
   */
  static void run(
      @Nullable Path file, Communicator world, Device device, Consumer<Communicator> training) {
    if (file == null) {
      training.accept(world);
      return;
    }
    TracingCommunicator traced =
        new TracingCommunicator(world, new TraceRecorder(TraceRecorder.DEFAULT_CAPACITY));
    training.accept(traced);
    try {
      if (world.rank() == 0) {
        DurableFiles.replace(file, out -> TraceFile.write(traced, clock(), device, out));
      } else {
        TraceFile.write(traced, clock(), device, new StringBuilder(0));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("the trace " + file + " cannot be written", e);
    }
  }

  /** Two ranks with the same number read the same clock. */
  private static long clock() {
    try {
      return Files.readString(BOOT_ID).hashCode();
    } catch (IOException e) {
      // Not Linux: only the threads of one process are known to share one.
      return ProcessHandle.current().pid();
    }
  }
}
