package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.dataset.Spectrogram;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.Stages;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The fewest bytes that a training step of one rank moves between its GPU's memory and its
 * multiprocessors, however well its kernels are fused: a lower bound for what is counted.
 *
 * <p>Two things are taken for granted. On-chip memory holds what one operator leaves for the next,
 * and neither a model's weights nor what its forward keeps until its backward; and no product and
 * no attention is computed a second time, while anything cheaper (norms, activations, sums of two
 * arrays) is computed again for nothing. Then, with s the bytes of an activation, S those of a sum
 * (F32 for bf16 and F32), and R the rows of a microbatch that the rank has:
 *
 * <ul>
 *   <li><b>weights</b>: a layer's weight [N,K] is read for y = x wᵀ and for dx = dy w: 2 s N K a
 *       microbatch; once, if x needs no gradient (the first layer, and a frozen component). Its
 *       bias is read once. A norm's weight is read twice, its bias once. Of a table (words,
 *       positions) as many rows are read as are looked up, once.
 *   <li><b>gradients</b>: dw is written once a microbatch, and read once: by the next microbatch,
 *       which adds to it, and in the end by the update, which cannot begin before the norm of all
 *       gradients is known: 2 s a parameter and microbatch. The norm itself is formed of what is
 *       being written. Of a table only the rows that were looked up have a gradient.
 *   <li><b>optimizer</b>: both moments, and under bf16 the exact weights, are read and written once
 *       a step. So are F32 weights; bf16 weights are written.
 *   <li><b>activations</b>: what is kept is written by the forward and read by the backward, twice
 *       its size. Of a block of width H with h heads and F features in its MLP that is the input of
 *       each norm (2 R H), queries, keys and values (3 R H), attention's result (R H), its
 *       log-sum-exp (S R h), and what enters the GELU (R F): all else is a cheap function of these.
 *       A block that is computed again keeps its input only. The language model's last block goes
 *       on with the T rows that are scored, and no gradient comes back for other queries: of the
 *       rest it keeps the input of its first norm, keys and values. A projector keeps the input of
 *       the norm before it and what enters its GELU; the head keeps the rows that it scores.
 *   <li><b>logits</b>: T scored rows of V words are written once, and read once for dlogits, which
 *       two products consume: 2 s T V. That softmax needs whole rows costs nothing here.
 *   <li><b>inputs</b>: the values of pictures and sounds, in F32, are read by the first layer and
 *       by the gradient of its weight.
 * </ul>
 *
 * <p>Where ranks divide heads, features, words or positions, each term is that of the smallest
 * part; tables and, where positions are divided, the head count nothing, since it depends on the
 * captions who has what of them. What ranks exchange is not counted.
 *
 * @param weights bytes of reading weights
 * @param gradients bytes of writing and reading gradients of weights
 * @param optimizer bytes of reading and writing what the optimizer keeps, and the weights
 * @param activations bytes of writing and reading what forwards keep for backwards
 * @param logits bytes of writing and reading logits
 * @param inputs bytes of reading pictures and sounds
 */
record LeastTraffic(
    long weights, long gradients, long optimizer, long activations, long logits, long inputs) {
  private static final LeastTraffic NONE = new LeastTraffic(0, 0, 0, 0, 0, 0);
  private static final String WORDS = "language.words.weight";
  private static final int CHANNELS = 3;

  /** Written once and read once. */
  private static final long KEPT = 2;

  /** All of it. */
  long total() {
    return weights + gradients + optimizer + activations + logits + inputs;
  }

  private LeastTraffic plus(LeastTraffic other) {
    return new LeastTraffic(
        weights + other.weights,
        gradients + other.gradients,
        optimizer + other.optimizer,
        activations + other.activations,
        logits + other.logits,
        inputs + other.inputs);
  }

  /**
   * The least of a rank's step.
   *
   * @param microBatches the samples of each microbatch
   * @param programs what the rank runs
   * @param optimizers what updates it
   */
  static LeastTraffic of(
      RunConfig config,
      TrainingData data,
      int rank,
      List<List<Sample>> microBatches,
      Map<String, ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers) {
    LeastTraffic sum = NONE;
    for (Map.Entry<String, ComponentProgram> entry : programs.entrySet()) {
      Part part = new Part(config, data, entry.getKey(), rank);
      for (List<Sample> samples : microBatches) {
        sum = sum.plus(part.microBatch(samples, entry.getValue().parameters()));
      }
      ComponentOptimizer optimizer = Objects.requireNonNull(optimizers.get(entry.getKey()));
      sum = sum.plus(new LeastTraffic(0, 0, part.update(optimizer), 0, 0, 0));
    }
    return sum;
  }

  /** A component's part of a rank's step. */
  private static final class Part {
    private final RunConfig config;
    private final TrainingData data;
    private final String component;
    private final Mesh mesh;
    private final int rank;
    private final Placement placement;
    private final Stages stages;
    private final StepPlan plan;
    private final boolean trained;
    private final long bytes;
    private final long sumBytes;

    Part(RunConfig config, TrainingData data, String component, int rank) {
      this.config = config;
      this.data = data;
      this.component = component;
      this.rank = rank;
      ModelGraph graph = data.graph();
      this.mesh = graph.mesh(component);
      this.placement = Objects.requireNonNull(config.parallel().placements().get(component));
      this.stages =
          Stages.of(
              CaptionModel.blocks(config.model(), component),
              placement,
              mesh.coordinate(rank, Axis.PP));
      this.plan = new StepPlan(config, data);
      this.trained = !graph.frozen().contains(component);
      DType dtype = DTypes.of(config.dtype());
      this.bytes = dtype.byteSize();
      this.sumBytes = dtype.accumulation().byteSize();
    }

    LeastTraffic microBatch(List<Sample> all, List<Parameter> parameters) {
      Interval lane = StepPlan.lane(all.size(), mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
      List<Sample> samples = all.subList((int) lane.start(), (int) lane.end());
      long[] rows = samples.stream().mapToLong(this::rows).toArray();
      if (Arrays.stream(rows).sum() == 0) {
        return NONE;
      }
      boolean language = component.equals(CaptionModel.LANGUAGE);
      // With words or positions divided it depends on the captions who looks up which.
      boolean whole = placement.cp() == 1 && placement.tp() == 1;
      long words = language && whole ? samples.stream().mapToLong(plan::textLength).sum() : 0;
      long positions = whole ? Arrays.stream(rows).max().orElse(0) : 0;
      LeastTraffic sum = NONE;
      for (Parameter parameter : parameters) {
        sum = sum.plus(parameter(parameter, words, positions));
      }
      return sum.plus(
          new LeastTraffic(
              0,
              0,
              0,
              trained ? KEPT * activations(rows, language ? scored(samples) : 0) : 0,
              stages.runs(stages.last()) && language
                  ? KEPT * bytes * scored(samples) * (vocabulary() / placement.tp())
                  : 0,
              stages.runs(0) ? inputs(samples) : 0));
    }

    /** Rows of the component's sequence that a sample has. */
    private long rows(Sample sample) {
      ModelConfig model = config.model();
      long patches = sample.hasPicture() ? model.vision().patchCount() : 0;
      long clip = model.audio() == null ? 0 : plan.clipRows(List.of(sample))[0];
      return switch (component) {
        case CaptionModel.VISION -> patches;
        case CaptionModel.AUDIO -> clip;
        default -> patches + clip + plan.textLength(sample);
      };
    }

    private long vocabulary() {
      return data.tokenizer().vocabularySize();
    }

    /** Words that are to be predicted. */
    private long scored(List<Sample> samples) {
      return placement.cp() > 1
          ? 0
          : samples.stream()
              .mapToLong(sample -> CaptionText.textLength(data.dataset().caption(sample)))
              .sum();
    }

    private LeastTraffic parameter(Parameter parameter, long words, long positions) {
      long size = parameter.tensor().shape().size();
      String name = parameter.name();
      boolean ofWords = name.equals(WORDS) && !isHead();
      boolean table = ofWords || name.endsWith(".positions");
      if (table) {
        long rows = Math.min(parameter.tensor().dim(0), ofWords ? words : positions);
        size = rows * parameter.tensor().dim(1);
      }
      boolean first = name.equals("vision.patch.weight") || name.equals("audio.frames.weight");
      boolean once = table || first || !trained || name.endsWith(".bias");
      return new LeastTraffic(
          bytes * size * (once ? 1 : 2), trained ? KEPT * bytes * size : 0, 0, 0, 0, 0);
    }

    /** Whether the table of words also scores them on this rank: a layer's weight. */
    private boolean isHead() {
      return config.model().language().tiedEmbeddings() && stages.runs(stages.last());
    }

    /** Bytes that a forward keeps. */
    private long activations(long[] samples, long scored) {
      ModelConfig model = config.model();
      return switch (component) {
        case CaptionModel.VISION -> {
          ModelConfig.Vision sizes = model.vision();
          yield kept(samples, sizes.hiddenSize(), sizes.heads(), sizes.recompute())
              + projector(samples, sizes.hiddenSize());
        }
        case CaptionModel.AUDIO -> {
          ModelConfig.Audio sizes = Objects.requireNonNull(model.audio());
          yield kept(samples, sizes.hiddenSize(), sizes.heads(), sizes.recompute())
              + projector(samples, sizes.hiddenSize());
        }
        default -> {
          ModelConfig.Language sizes = model.language();
          long head = stages.runs(stages.last()) ? bytes * scored * sizes.hiddenSize() : 0;
          long all = kept(samples, sizes.hiddenSize(), sizes.heads(), sizes.recompute());
          yield all - unscored(samples, scored, sizes) + head;
        }
      };
    }

    /** Of all blocks. */
    private long kept(long[] samples, long width, long heads, boolean recompute) {
      long blocks = 0;
      for (int stage : stages.mine()) {
        blocks += stages.blocks().get(stage).size();
      }
      long held = held(samples, placement.cp());
      long between = placement.division().sequenceParallel() ? held / placement.tp() : held;
      if (recompute) {
        return blocks * bytes * between * width;
      }
      long mine = heads / placement.tp();
      long inside = 4 * mine * (width / heads) + 4 * width / placement.tp();
      return blocks * (bytes * (2 * between * width + held * inside) + sumBytes * held * mine);
    }

    /** What the last block of the language model does not keep of rows that are not scored. */
    private long unscored(long[] samples, long scored, ModelConfig.Language sizes) {
      boolean last = stages.runs(stages.last()) && stages.blocks().get(stages.last()).size() > 0;
      if (!last || sizes.recompute() || placement.division().sequenceParallel()) {
        return 0;
      }
      long width = sizes.hiddenSize();
      long mine = sizes.heads() / placement.tp();
      long inside = 2 * mine * (width / sizes.heads()) + 4 * width / placement.tp();
      return (held(samples, placement.cp()) - scored)
          * (bytes * (width + inside) + sumBytes * mine);
    }

    private long projector(long[] samples, long width) {
      if (!stages.runs(stages.last())) {
        return 0;
      }
      long held = held(samples, placement.cp());
      long between = placement.division().sequenceParallel() ? held / placement.tp() : held;
      return bytes
          * (between * width + held * (config.model().projector().hiddenSize() / placement.tp()));
    }

    /** Rows that a rank has at least, which gets two pieces of each sequence. */
    private static long held(long[] samples, int cp) {
      long rows = 0;
      for (long length : samples) {
        rows += cp == 1 ? length : 2 * (length / (2L * cp));
      }
      return rows;
    }

    private long inputs(List<Sample> samples) {
      ModelConfig model = config.model();
      long values =
          switch (component) {
            case CaptionModel.VISION -> {
              long side = model.vision().imageSize();
              yield samples.stream().filter(Sample::hasPicture).count() * CHANNELS * side * side;
            }
            case CaptionModel.AUDIO ->
                (long) Arrays.stream(plan.clipRows(samples)).sum()
                    * Objects.requireNonNull(model.audio()).framesPerRow()
                    * Spectrogram.BANDS;
            default -> 0;
          };
      // Ranks that divide positions read the patches of theirs.
      return Float.BYTES * values / placement.cp() * (trained ? 2 : 1);
    }

    private long update(ComponentOptimizer optimizer) {
      long state = optimizer.adamW().stateBytes();
      boolean narrow = bytes < sumBytes;
      // Two moments, and the exact weights of a narrow type.
      long updated = state / ((narrow ? 3 : 2) * sumBytes);
      return 2 * state + updated * bytes * (narrow ? 1 : 2);
    }
  }
}
