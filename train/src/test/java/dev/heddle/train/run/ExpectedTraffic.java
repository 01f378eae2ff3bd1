package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.layout.Arrangement;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Split;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.Stages;
import dev.heddle.train.run.StepTraffic.Phase;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * What each rank must communicate in a step, worked out from the configuration: the lengths of the
 * step's sequences, the model's sizes, and who holds what. Legend: n samples of a lane, S positions
 * of a sequence, P rows of a picture, C features, tp, cp, pp, dp the axes of a component.
 */
final class ExpectedTraffic {
  private final RunConfig config;
  private final TrainingData data;
  private final long numberBytes;
  private final List<StepTraffic> ranks = new ArrayList<>();

  private ExpectedTraffic(RunConfig config, TrainingData data) {
    this.config = config;
    this.data = data;
    this.numberBytes = DTypes.of(config.dtype()).byteSize();
    for (int rank = 0; rank < config.parallel().ranks(); rank++) {
      ranks.add(new StepTraffic());
    }
  }

  /** By rank. */
  static List<StepTraffic> of(RunConfig config, TrainingData data, long step) {
    ExpectedTraffic expected = new ExpectedTraffic(config, data);
    StepPlan plan = new StepPlan(config, data);
    for (int microBatch = 0; microBatch < config.train().microBatches(); microBatch++) {
      List<Sample> samples = plan.samples(step, microBatch);
      FusedBatch batch = plan.batch(samples);
      for (int rank = 0; rank < expected.ranks.size(); rank++) {
        expected.language(rank, batch);
        expected.vision(rank, batch);
      }
      for (String encoder : batch.encoders()) {
        expected.boundary(encoder, batch);
      }
    }
    for (int rank = 0; rank < expected.ranks.size(); rank++) {
      expected.gradients(rank);
      StepTraffic traffic = expected.ranks.get(rank);
      // The one agreement: sum of losses, tokens, squares of the norm.
      long agreed = 3 * Double.BYTES;
      traffic.add(Phase.UPDATE, CommunicationKind.HOST_ALL_REDUCE, 1, agreed, agreed);
      // The largest peak of memory, for the metrics.
      traffic.add(Phase.TRAINER, CommunicationKind.HOST_ALL_REDUCE, 1, Long.BYTES, Long.BYTES);
    }
    return expected.ranks;
  }

  // ---- a component on a rank

  private Mesh mesh(String component) {
    return data.graph().mesh(component);
  }

  private Placement placement(String component) {
    return Objects.requireNonNull(config.parallel().placements().get(component));
  }

  private Stages stages(String component, int rank) {
    return Stages.of(
        CaptionModel.blocks(config.model(), component),
        placement(component),
        mesh(component).coordinate(rank, Axis.PP));
  }

  private Interval lane(String component, int rank, FusedBatch batch) {
    Mesh mesh = mesh(component);
    return StepPlan.lane(batch.samples(), mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
  }

  private boolean dividesSequence(String component) {
    return placement(component).division().sequenceParallel() && placement(component).tp() > 1;
  }

  /** The positions of a sequence of {@code length} that a rank holds between layers. */
  private Intervals held(String component, int rank, long length) {
    Mesh mesh = mesh(component);
    Intervals all = Intervals.of(0, length);
    Intervals ofContext =
        Split.part(all, mesh.size(Axis.CP), mesh.coordinate(rank, Axis.CP), Arrangement.ZIGZAG);
    return dividesSequence(component)
        ? Split.part(
            ofContext, mesh.size(Axis.TP), mesh.coordinate(rank, Axis.TP), Arrangement.CONTIGUOUS)
        : ofContext;
  }

  // ---- inside a component

  /**
   * A region of layers whose heads or features are divided over TP. Entering it costs nothing
   * forward, since all rows are there, and an all-reduce of their gradient backward; leaving it is
   * an all-reduce forward and nothing backward. Under sequence parallelism rows are gathered and
   * summands scattered instead, and backward the other way round.
   *
   * @param whole rows times features of all TP ranks
   * @param own those that this rank holds
   */
  private void enter(int rank, String component, long whole, long own) {
    if (dividesSequence(component)) {
      gather(rank, Phase.FORWARD, own, whole);
      scatter(rank, Phase.BACKWARD, own, whole);
    } else {
      allReduce(rank, Phase.BACKWARD, whole);
    }
  }

  private void leave(int rank, String component, long whole, long own) {
    if (dividesSequence(component)) {
      scatter(rank, Phase.FORWARD, own, whole);
      gather(rank, Phase.BACKWARD, own, whole);
    } else {
      allReduce(rank, Phase.FORWARD, whole);
    }
  }

  private void gather(int rank, Phase phase, long own, long whole) {
    ranks
        .get(rank)
        .add(phase, CommunicationKind.ALL_GATHER, 1, own * numberBytes, whole * numberBytes);
  }

  private void scatter(int rank, Phase phase, long own, long whole) {
    ranks
        .get(rank)
        .add(phase, CommunicationKind.REDUCE_SCATTER, 1, whole * numberBytes, own * numberBytes);
  }

  private void allReduce(int rank, Phase phase, long numbers) {
    long bytes = numbers * numberBytes;
    ranks.get(rank).add(phase, CommunicationKind.ALL_REDUCE, 1, bytes, bytes);
  }

  private void exchange(int rank, Phase phase, long sent, long received) {
    ranks
        .get(rank)
        .add(phase, CommunicationKind.EXCHANGE, 1, sent * numberBytes, received * numberBytes);
  }

  private void language(int rank, FusedBatch batch) {
    String name = CaptionModel.LANGUAGE;
    Mesh mesh = mesh(name);
    if (!mesh.contains(rank) || lane(name, rank, batch).isEmpty()) {
      return;
    }
    Interval lane = lane(name, rank, batch);
    long lanes = batch.sequences(lane).lanes();
    long length = batch.sequences(lane).length();
    long features = config.model().language().hiddenSize();
    long own = lanes * held(name, rank, length).size() * features;
    Stages stages = stages(name, rank);
    long words =
        IntStream.range((int) lane.start(), (int) lane.end()).mapToLong(batch::textLength).sum();
    for (int stage : stages.mine()) {
      long layers = stages.blocks().get(stage).size();
      if (placement(name).tp() > 1) {
        long whole = lanes * length * features;
        if (stage == 0) {
          // Each rank finds the vectors of its words; the sum is that of all.
          leave(rank, name, whole, own);
        }
        // The last block goes on from its attention with the rows that are scored, unless rows are
        // divided.
        boolean ends = stage == stages.last() && layers > 0 && !dividesSequence(name);
        for (int i = 0; i < layers; i++) {
          long behind = ends && i == layers - 1 ? words * features : whole;
          // Attention and MLP.
          enter(rank, name, whole, own);
          leave(rank, name, behind, own);
          enter(rank, name, behind, own);
          leave(rank, name, behind, own);
        }
        if (stage == stages.last()) {
          // Only rows that are scored need enter the head, unless rows are divided.
          enter(rank, name, dividesSequence(name) ? whole : words * features, own);
          // Largest logit, sum of exponentials and target's logit of each scored row.
          for (int i = 0; i < 3; i++) {
            allReduce(rank, Phase.FORWARD, words);
          }
        }
      }
      if (placement(name).cp() > 1) {
        ring(rank, lanes, length, features, layers);
      }
    }
    pipeline(rank, own);
  }

  /**
   * Ring attention of two: keys and values cross forward and once more backward, and the gradients
   * of the other's go home, each in an exchange of its own.
   */
  private void ring(int rank, long lanes, long length, long features, long layers) {
    Mesh mesh = mesh(CaptionModel.LANGUAGE);
    if (mesh.size(Axis.CP) != 2) {
      throw new IllegalStateException("these formulas are for a ring of two");
    }
    int other =
        mesh.group(rank, Axis.CP).stream()
            .filter(member -> member != rank)
            .findFirst()
            .orElseThrow();
    long own = 2 * lanes * held(CaptionModel.LANGUAGE, rank, length).size() * features;
    long others = 2 * lanes * held(CaptionModel.LANGUAGE, other, length).size() * features;
    for (int layer = 0; layer < layers; layer++) {
      exchange(rank, Phase.FORWARD, own, others);
      exchange(rank, Phase.BACKWARD, own, others);
      exchange(rank, Phase.BACKWARD, others, own);
    }
  }

  /** From each stage to the next the rows held, and their gradients back. */
  private void pipeline(int rank, long own) {
    Stages stages = stages(CaptionModel.LANGUAGE, rank);
    if (stages.ranks() == 1) {
      return;
    }
    for (int stage : stages.mine()) {
      if (stage < stages.last()) {
        exchange(rank, Phase.FORWARD, own, 0);
        exchange(rank, Phase.BACKWARD, 0, own);
      }
      if (stage > 0) {
        exchange(rank, Phase.FORWARD, 0, own);
        exchange(rank, Phase.BACKWARD, own, 0);
      }
    }
  }

  private void vision(int rank, FusedBatch batch) {
    String name = CaptionModel.VISION;
    if (!mesh(name).contains(rank) || placement(name).tp() == 1) {
      return;
    }
    Interval lane = lane(name, rank, batch);
    long whole =
        IntStream.range((int) lane.start(), (int) lane.end())
            .mapToLong(sample -> batch.rows(name, sample))
            .sum();
    long patches = config.model().vision().patchCount();
    long own = whole / patches * held(name, rank, patches).size();
    long features = config.model().vision().hiddenSize();
    if (whole == 0) {
      return;
    }
    for (int i = 0; i < 2 * config.model().vision().layers(); i++) {
      enter(rank, name, whole * features, own * features);
      leave(rank, name, whole * features, own * features);
    }
    long projected = config.model().language().hiddenSize();
    enter(rank, name, whole * features, own * features);
    leave(rank, name, whole * projected, own * projected);
  }

  // ---- the boundary

  /** A rank's rows of a microbatch, numbered sample after sample. */
  private Map<Integer, BitSet> leaving(String encoder, FusedBatch batch) {
    Map<Integer, BitSet> rows = new TreeMap<>();
    Mesh mesh = mesh(encoder);
    for (int rank : mesh.ranks()) {
      if (mesh.coordinate(rank, Axis.PP) == mesh.size(Axis.PP) - 1) {
        rows.put(rank, rows(encoder, encoder, rank, batch, false));
      }
    }
    return rows;
  }

  private Map<Integer, BitSet> entering(String encoder, FusedBatch batch) {
    Map<Integer, BitSet> rows = new TreeMap<>();
    Mesh mesh = mesh(CaptionModel.LANGUAGE);
    for (int rank : mesh.ranks()) {
      if (mesh.coordinate(rank, Axis.PP) == 0) {
        rows.put(rank, rows(encoder, CaptionModel.LANGUAGE, rank, batch, true));
      }
    }
    return rows;
  }

  /**
   * @param fused whether positions are those of the fused sequences, or those among the encoder's
   *     own rows of a sample
   */
  private BitSet rows(String encoder, String component, int rank, FusedBatch batch, boolean fused) {
    BitSet rows = new BitSet();
    Interval lane = lane(component, rank, batch);
    long laneLength = fused ? batch.sequences(lane).length() : 0;
    int number = 0;
    long laneOffset = 0;
    for (int sample = 0; sample < batch.samples(); sample++) {
      int count = batch.rows(encoder, sample);
      boolean mine = sample >= lane.start() && sample < lane.end();
      Intervals held = mine ? held(component, rank, fused ? laneLength : count) : Intervals.EMPTY;
      for (int row = 0; row < count; row++, number++) {
        long position = fused ? laneOffset + batch.firstRow(encoder, sample) + row : row;
        if (mine && contains(held, position)) {
          rows.set(number);
        }
      }
      laneOffset += mine && batch.packed() ? batch.length(sample) : 0;
    }
    return rows;
  }

  private static boolean contains(Intervals set, long position) {
    return IntStream.range(0, set.count())
        .anyMatch(i -> set.start(i) <= position && position < set.end(i));
  }

  /**
   * Every rank gets the rows that it needs and does not have, and keeps those that it has without
   * an exchange; backward their gradients go back. Where TP ranks have the same gradients, whoever
   * has sent least sends to the next one.
   */
  private void boundary(String encoder, FusedBatch batch) {
    Map<Integer, BitSet> have = leaving(encoder, batch);
    Map<Integer, BitSet> need = entering(encoder, batch);
    if (have.equals(need)) {
      return;
    }
    cross(Phase.FORWARD, have, need);
    cross(Phase.BACKWARD, need, have);
  }

  private void cross(Phase phase, Map<Integer, BitSet> have, Map<Integer, BitSet> need) {
    long features = config.model().language().hiddenSize();
    Map<Integer, Long> sent = new TreeMap<>();
    need.forEach(
        (receiver, rows) -> {
          BitSet missing = (BitSet) rows.clone();
          missing.andNot(have.getOrDefault(receiver, new BitSet()));
          if (!missing.isEmpty()) {
            exchange(receiver, phase, 0, missing.cardinality() * features);
          }
          while (!missing.isEmpty()) {
            int sender = sender(have, missing, sent);
            BitSet from = (BitSet) missing.clone();
            from.and(Objects.requireNonNull(have.get(sender)));
            missing.andNot(from);
            sent.merge(sender, from.cardinality() * features, Long::sum);
          }
        });
    sent.forEach((sender, numbers) -> exchange(sender, phase, numbers, 0));
  }

  /** Of the ranks that have the first of these rows the one that has sent least, the first such. */
  private static int sender(Map<Integer, BitSet> have, BitSet rows, Map<Integer, Long> sent) {
    return have.entrySet().stream()
        .filter(entry -> entry.getValue().get(rows.nextSetBit(0)))
        .map(Map.Entry::getKey)
        .min(Comparator.comparingLong(rank -> sent.getOrDefault(rank, 0L)))
        .orElseThrow();
  }

  // ---- gradients

  /**
   * Every gradient is summed once over the ranks that hold the parameter, in buckets that are full
   * at 4 MiB. Where these divide the optimizer, each gets the sum of its part, and what it has
   * updated is gathered.
   */
  private void gradients(int rank) {
    List<Integer> all = IntStream.range(0, ranks.size()).boxed().toList();
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      DType dtype = DTypes.of(config.dtype());
      CaptionModel.programs(
              config.model(),
              config.parallel(),
              data.tokenizer().vocabularySize(),
              data.graph(),
              PaperGroup.world(all, rank),
              meta,
              dtype,
              config.seed())
          .forEach(
              (component, program) -> {
                for (boolean partial : new boolean[] {false, true}) {
                  List<Parameter> held =
                      program.parameters().stream()
                          .filter(parameter -> parameter.partialGradient() == partial)
                          .toList();
                  reduce(rank, component, held, partial);
                }
              });
    }
  }

  private void reduce(int rank, String component, List<Parameter> held, boolean partial) {
    Mesh mesh = mesh(component);
    List<Integer> holders =
        partial ? mesh.group(rank, Axis.TP, Axis.CP, Axis.DP) : mesh.group(rank, Axis.CP, Axis.DP);
    if (holders.size() == 1) {
      return;
    }
    long filled = 0;
    for (Parameter parameter : held.reversed()) {
      long size = parameter.tensor().shape().size();
      if (filled > 0 && (filled + size) * numberBytes > GradientReduction.BUCKET_BYTES) {
        bucket(rank, component, holders, filled);
        filled = 0;
      }
      filled += size;
    }
    if (filled > 0) {
      bucket(rank, component, holders, filled);
    }
  }

  private void bucket(int rank, String component, List<Integer> holders, long size) {
    if (!placement(component).division().shardOptimizer()) {
      allReduce(rank, Phase.BACKWARD, size);
      return;
    }
    long own = Split.part(size, holders.size(), holders.indexOf(rank)).size();
    scatter(rank, Phase.BACKWARD, own, size);
    gather(rank, Phase.UPDATE, own, size);
  }
}
