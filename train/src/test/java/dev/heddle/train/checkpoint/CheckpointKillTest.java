package dev.heddle.train.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Kills a process that does nothing but write checkpoints, again and again. */
class CheckpointKillTest {
  private static final int ELEMENTS = 200_000;
  private static final TensorSpec TENSOR = TensorSpec.of("w", TensorType.I64, ELEMENTS);

  @TempDir Path run;

  /** The process that is killed. */
  static final class Victim {
    private Victim() {}

    public static void main(String[] arguments) {
      CheckpointStore store = new CheckpointStore(Path.of(arguments[0]), 2);
      long first = Long.parseLong(arguments[1]);
      for (long step = first; ; step++) {
        long[] values = new long[ELEMENTS];
        java.util.Arrays.fill(values, step);
        String text = "step " + step;
        store.save(
            step,
            draft -> {
              draft.tensors(
                  "model.safetensors",
                  Map.of(),
                  List.of(TENSOR),
                  tensor -> MemorySegment.ofArray(values));
              draft.text("state.txt", text);
            });
        if (step == first) {
          System.out.println("first checkpoint written");
        }
      }
    }
  }

  @Test
  void kill_atRandomMomentsOfWriting_alwaysLeavesALoadableCheckpoint() throws Exception {
    Path folder = CheckpointStore.folderOf(run);
    long seed = Long.getLong("heddle.seed", System.nanoTime());
    Random random = new Random(seed);
    long next = 1;
    int midWrite = 0;
    // On a busy machine a victim may hardly be writing: rounds go on until one was hit at it.
    for (int round = 0; round < 8 || (midWrite == 0 && round < 80); round++) {
      Process victim = start(folder, next);
      try (InputStream output = victim.getInputStream()) {
        assertThat(output.read()).as("the victim says when it has begun").isNotNegative();
        TimeUnit.MICROSECONDS.sleep(random.nextInt(60_000));
      } finally {
        victim.destroyForcibly();
      }
      assertThat(victim.waitFor(20, TimeUnit.SECONDS)).isTrue();
      midWrite += Files.exists(unfinished(folder)) ? 1 : 0;
      for (Path finished : new CheckpointStore(folder, 2).list()) {
        check(finished, seed);
      }
      try (Checkpoint newest = CheckpointStore.resume(run)) {
        assertThat(newest.step())
            .as("replay with -Dheddle.seed=%d", seed)
            .isGreaterThanOrEqualTo(next);
        next = newest.step() + 1;
      }
    }
    assertThat(midWrite).as("kills that hit a checkpoint being written").isPositive();
  }

  private static void check(Path folder, long seed) {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.text("state.txt")).isEqualTo("step " + checkpoint.step());
      assertThat(checkpoint.tensors("model.safetensors").data("w").toArray(ValueLayout.JAVA_LONG))
          .as("replay with -Dheddle.seed=%d", seed)
          .containsOnly(checkpoint.step());
    }
  }

  private static Path unfinished(Path folder) throws IOException {
    try (java.util.stream.Stream<Path> paths = Files.list(folder)) {
      return paths
          .filter(path -> path.getFileName().toString().startsWith(".unfinished-"))
          .findFirst()
          .orElse(folder.resolve("none"));
    }
  }

  private static Process start(Path folder, long first) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-Xmx64m",
            "-cp",
            System.getProperty("java.class.path"),
            Victim.class.getName(),
            folder.toString(),
            Long.toString(first))
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }
}
