package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.DrawingStyle;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.Voice;
import dev.heddle.train.report.StepMetrics;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model of three components after training: saved, moved, asked. */
class HearingTest {
  @TempDir Path folder;

  private RunConfig run(String name, int audioFirst, int tp, int dp) {
    return TinyRun.hearing(
            TinyRun.config(folder, TinyRun.DP2_TP2), TinyRun.placement(audioFirst, tp, dp))
        .withOutput(folder.resolve(name));
  }

  @Test
  void runThatMovesItsEars_hasTheLossesOfTheUninterruptedOne() {
    RunConfig single = run("single", 2, 1, 1);
    TrainingData data = TinyRun.data(single);
    List<StepMetrics> control = TinyRun.train(single, data, null, TinyRun.STEPS);
    RunConfig before = run("moved", 1, 2, 1);
    List<StepMetrics> steps = new ArrayList<>(TinyRun.train(before, data, null, 4));
    try (Checkpoint checkpoint = TinyRun.newest(before)) {
      steps.addAll(TinyRun.train(run("moved", 0, 1, 2), data, checkpoint, TinyRun.STEPS));
    }
    assertThat(steps).hasSameSizeAs(control);
    for (int i = 0; i < control.size(); i++) {
      assertThat(steps.get(i).loss())
          .as("step %d", i + 1)
          .isCloseTo(control.get(i).loss(), within(1e-9));
    }
  }

  @Test
  void captions_ofNamesOfDifferentLengths_areThoseOfEachAlone() {
    RunConfig config = run("captions", 2, 1, 1);
    TrainingData data = TinyRun.data(config);
    TinyRun.train(config, data, null, TinyRun.STEPS);
    List<Emoji> emoji = data.dataset().training().subList(0, 6);
    Set<Integer> lengths = new HashSet<>();
    try (Checkpoint checkpoint = TinyRun.newest(config);
        CpuDevice device = CpuDevice.open("cpu:hearing", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      Captioner captioner = Captioner.load(device, config, data, checkpoint);
      List<List<String>> together = captioner.captions(emoji, DrawingStyle.TWITTER, Voice.SECOND);
      for (int i = 0; i < emoji.size(); i++) {
        lengths.add(data.dataset().frameCount(emoji.get(i), Voice.SECOND) / 16);
        assertThat(captioner.captions(List.of(emoji.get(i)), DrawingStyle.TWITTER, Voice.SECOND))
            .containsExactly(together.get(i));
      }
    }
    assertThat(lengths).as("lengths differ").hasSizeGreaterThan(1);
  }
}
