package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.runtime.cuda.KernelTraffic;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.Precision;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.json.Json;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StepForecastTest {
  @TempDir Path folder;

  private static RunConfig example(String name, String... sets) {
    return ConfigLoader.load(
        Path.of("../examples", name + ".yaml"),
        List.of(sets).stream().map(ConfigOverride::set).toList());
  }

  private static StepForecast forecast(RunConfig config, TrainingData data) {
    Schedule schedule =
        data.graph().schedule(config.parallel().schedule(), config.train().microBatches());
    return new StepForecast(config, data, schedule);
  }

  /** Every layout that there is an example of, and recomputation, tying and freezing. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "homogeneous",
        "colocated",
        "mixed",
        "non-colocated",
        "emoji-spoken",
        "long-context",
        "emoji-captions dtype=bf16 model.language.recompute=true model.vision.recompute=true",
        "emoji-captions model.language.tiedEmbeddings=true train.vision.frozen=true",
        "emoji-captions parallel.language.sequenceParallel=true parallel.vision.shardOptimizer=true"
      })
  void anyLayout_movesTheLeastAtLeast(String command) {
    String[] words = command.split(" ", -1);
    String[] sets = List.of(words).subList(1, words.length).toArray(String[]::new);
    RunConfig config = example(words[0], sets);
    TrainingData data = TrainingData.open(config);
    StepForecast forecast = forecast(config, data);
    for (int rank = 0; rank < config.parallel().ranks(); rank++) {
      RankStep step = forecast.of(rank);
      KernelTraffic operators = step.counters().operators("");
      assertThat(step.counters().device().hostSynchronizations()).as("rank %d", rank).isZero();
      assertThat(step.counters().device().trailingWaits()).as("rank %d", rank).isEqualTo(1);
      assertThat(step.counters().device().deviceAllocations()).as("rank %d", rank).isZero();
      assertThat(step.counters().products()).as("rank %d", rank).isPositive();
      assertThat(step.least().total())
          .as("rank %d", rank)
          .isPositive()
          .isLessThanOrEqualTo(operators.bytes());
      assertThat(operators.bytes()).isLessThan(step.moved().bytes());
    }
  }

  /**
   * One rank, 40 emoji of which a step takes some; F32. Every term by hand: H features of both
   * components, S samples, P patches, T words of a caption with its end, padded to U.
   */
  @Test
  void least_ofATinyModel_isWhatIsSaidOfIt() {
    RunConfig tiny = TinyRun.config(folder, TinyRun.ONE_RANK);
    RunConfig config =
        TinyRun.with(
            TinyRun.with(tiny, Precision.F32, tiny.model()),
            new TrainConfig(TinyRun.STEPS, 5, 1, 0.01, 2, 0.01, 1.0));
    TrainingData data = TrainingData.open(config);
    StepPlan plan = new StepPlan(config, data);
    LeastTraffic least = forecast(config, data).of(0).least();
    ModelConfig model = config.model();
    long h = model.vision().hiddenSize();
    long p = model.projector().hiddenSize();
    long samples = plan.samples(1, 0).size();
    long patches = model.vision().patchCount();
    long padded = data.textLength();
    long scored = 0;
    for (Sample sample : plan.samples(1, 0)) {
      scored += 1 + data.dataset().caption(sample).size();
    }
    long vocabulary = data.tokenizer().vocabularySize();
    long patchValues = 3L * model.vision().patchSize() * model.vision().patchSize();
    int visionBlocks = model.vision().layers();
    int languageBlocks = model.language().layers();
    int blocks = visionBlocks + languageBlocks;

    long matrices = blocks * 12 * h * h + 2 * h * p + vocabulary * h;
    long norms = (2L * blocks + 2) * h;
    long biases = norms + blocks * 9 * h + p + h + h;
    long lookedUp =
        patches * h + Math.min(vocabulary, samples * padded) * h + (patches + padded) * h;
    long once = patchValues * h + biases + lookedUp;
    assertThat(least.weights()).isEqualTo(4 * (2 * (matrices + norms) + once));
    assertThat(least.gradients()).isEqualTo(4 * 2 * (matrices + norms + once));

    long parameters =
        matrices
            + norms
            + biases
            + patchValues * h
            + patches * h
            + vocabulary * h
            + model.language().contextLength() * h;
    assertThat(least.optimizer()).isEqualTo(2 * 3 * 4 * parameters);

    long visionRows = samples * patches;
    long languageRows = samples * (patches + padded);
    long kept =
        visionBlocks * visionRows * (10 * h + model.vision().heads())
            + languageBlocks * languageRows * (10 * h + model.language().heads())
            - (languageRows - scored) * (7 * h + model.language().heads())
            + visionRows * (h + p)
            + scored * h;
    assertThat(least.activations()).isEqualTo(4 * 2 * kept);
    assertThat(least.logits()).isEqualTo(4 * 2 * scored * vocabulary);
    long side = model.vision().imageSize();
    assertThat(least.inputs()).isEqualTo(4 * 2 * samples * 3 * side * side);
  }

  @Test
  void plan_withLaunches_printsWhatEachRankIsAskedFor() {
    RunConfig config = TinyRun.config(folder, TinyRun.ONE_RANK);
    config = TinyRun.with(config, Precision.F32, config.model());
    TrainingData data = TinyRun.data(config);
    RunPlan without = RunPlan.of(config, data);
    assertThat(PlanText.of(without)).doesNotContain("launches of a step");
    assertThat(PlanDocument.of(without)).doesNotContain("countedStep");

    RunPlan plan = without.withSteps(data);
    RankStep step = Objects.requireNonNull(plan.steps().get(0));
    List<String> lines =
        PlanText.of(plan).lines().dropWhile(line -> !line.startsWith("launches of")).toList();
    assertThat(lines.get(1).strip().split(" {2,}"))
        .containsExactly(
            "ranks",
            "kernels",
            "products",
            "waits",
            "allocations",
            "read",
            "written",
            "least",
            "of the least");
    assertThat(lines.get(2).strip().split(" +"))
        .startsWith(
            "0",
            "" + step.counters().device().launches(),
            "" + step.counters().products(),
            "0",
            "0");

    Map<String, @Nullable Object> document = Json.parseObject(PlanDocument.of(plan));
    Map<?, ?> rank = (Map<?, ?>) Json.list(document.get("classes"), "classes").getFirst();
    Map<?, ?> counted = (Map<?, ?>) Objects.requireNonNull(rank.get("countedStep"));
    assertThat(number(counted.get("launches"))).isEqualTo(step.counters().device().launches());
    assertThat(number(counted.get("hostSynchronizations"))).isZero();
    assertThat(number(counted.get("trailingWaits"))).isEqualTo(1);
    assertThat(number(counted.get("bytesRead"))).isEqualTo(step.moved().bytesRead());
    Map<?, ?> leastBytes = (Map<?, ?>) Objects.requireNonNull(counted.get("leastBytes"));
    assertThat(number(leastBytes.get("total"))).isEqualTo(step.least().total());
    Map<?, ?> kernels = (Map<?, ?>) Objects.requireNonNull(counted.get("kernels"));
    assertThat(kernels.keySet()).hasSameSizeAs(step.counters().kernels().keySet());
  }

  private static long number(@Nullable Object value) {
    return ((Number) Objects.requireNonNull(value)).longValue();
  }
}
